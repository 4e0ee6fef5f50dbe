# The statements of ../iam-policy-*.json, for this module's resources: what `shardflight doctor` prints as the least policy.
locals {
  # Region and account are in the names of the resources below.
  policies = {
    for name in ["read", "write", "checkpoints", "catalog", "segments", "lake"] :
    name => jsondecode(replace(file("${path.module}/../iam-policy-${name}.json"), "arn:aws:", "arn:${data.aws_partition.current.partition}:")).Statement
  }

  read_statements = [
    for statement in local.policies.read :
    merge(statement, { Resource = concat(var.stream_arns, [for arn in var.stream_arns : "${arn}/consumer/*" if statement.Sid == "FanOut"]) })
    if statement.Sid != "FanOut" || var.fan_out_consumer != ""
  ]

  write_statements = [
    for statement in local.policies.write :
    merge(statement, { Resource = var.stream_arns })
    if var.write && statement.Sid == "Write"
  ]

  checkpoint_statements = [
    for statement in local.policies.checkpoints :
    merge(statement, { Resource = aws_dynamodb_table.checkpoints.arn })
    if statement.Sid == "KeepCheckpoints"
  ]

  catalog_statements = [
    for statement in local.policies.catalog :
    jsondecode(replace(replace(jsonencode(statement), "BUCKET", var.catalog.bucket), "PREFIX", var.catalog.prefix))
    if statement.Sid != "ChangeDefinitions"
  ]

  segment_statements = [
    for statement in local.policies.segments :
    jsondecode(replace(replace(jsonencode(statement), "BUCKET", try(var.segments.bucket, "")), "PREFIX", try(var.segments.prefix, "")))
    if var.segments != null
  ]

  # Who writes a table reads its log, too. A role of the lake's own has these rights instead, and the server may take it.
  lake = var.lake == null ? { bucket = "", read = [], write = [], role_arn = null } : var.lake
  lake_resources = {
    ListLake  = ["arn:${data.aws_partition.current.partition}:s3:::${local.lake.bucket}"]
    ReadLake  = [for prefix in distinct(concat(local.lake.read, local.lake.write)) : "arn:${data.aws_partition.current.partition}:s3:::${local.lake.bucket}/${prefix}/*"]
    WriteLake = [for prefix in local.lake.write : "arn:${data.aws_partition.current.partition}:s3:::${local.lake.bucket}/${prefix}/*"]
  }
  lake_condition = {
    Condition = { StringLikeIfExists = { "s3:prefix" = [for prefix in distinct(concat(local.lake.read, local.lake.write)) : "${prefix}/*"] } }
  }

  lake_statements = concat(
    [
      for statement in local.policies.lake :
      merge(statement, { Resource = local.lake_resources[statement.Sid] }, [for more in [local.lake_condition] : more if statement.Sid == "ListLake"]...)
      if local.lake.role_arn == null && length(local.lake_resources[statement.Sid]) > 0 && local.lake.bucket != ""
    ],
    [
      for role in [local.lake.role_arn] :
      {
        Sid      = "TakeRoles"
        Effect   = "Allow"
        Action   = "sts:AssumeRole"
        Resource = role
      }
      if role != null
    ],
  )

  key_statements = [
    for keys in [var.kms_key_arns] :
    {
      Sid      = "UseKey"
      Effect   = "Allow"
      Action   = var.write ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]
      Resource = keys
    }
    if length(keys) > 0
  ]
}

data "aws_partition" "current" {}

data "aws_region" "current" {}

data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "server" {
  name               = "${var.name}-server"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "server" {
  name = "what-the-server-does"
  role = aws_iam_role.server.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.read_statements,
      local.write_statements,
      local.checkpoint_statements,
      local.catalog_statements,
      local.segment_statements,
      local.lake_statements,
      local.key_statements,
    )
  })
}

# What ECS itself does: images, logs, secrets.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "secrets" {
  count = length(var.secrets) == 0 && !local.is_cluster ? 0 : 1
  name  = "read-secrets"
  role  = aws_iam_role.execution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue", "ssm:GetParameters"]
        Resource = values(merge(local.cluster_secrets, var.secrets))
      }
    ]
  })
}
