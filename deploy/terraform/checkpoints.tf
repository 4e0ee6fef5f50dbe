# As the server itself would make it: docs/checkpoints_store.md.
resource "aws_dynamodb_table" "checkpoints" {
  name         = var.name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "consumer"
  range_key    = "item"
  tags         = var.tags

  attribute {
    name = "consumer"
    type = "S"
  }

  attribute {
    name = "item"
    type = "S"
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}
