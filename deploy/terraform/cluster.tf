# Tasks that share the work: each is a node, and finds the others by a name of which all their addresses are.
locals {
  is_cluster = var.cluster_token_arn != ""

  # The security group lets the tasks alone reach each other there, and the token is asked for besides.
  cluster_environment = {
    for name, value in {
      SHARDFLIGHT_CLUSTER__LISTEN = "0.0.0.0:32011"
      SHARDFLIGHT_CLUSTER__DNS    = "nodes.${var.name}.internal:32011"
    } : name => value if local.is_cluster
  }

  cluster_secrets = {
    for name, value in {
      SHARDFLIGHT_CLUSTER__TOKEN = var.cluster_token_arn
    } : name => value if local.is_cluster
  }
}

resource "aws_service_discovery_private_dns_namespace" "this" {
  count       = local.is_cluster ? 1 : 0
  name        = "${var.name}.internal"
  description = "Names of Shardflight's nodes"
  vpc         = var.vpc_id
  tags        = var.tags
}

resource "aws_service_discovery_service" "nodes" {
  count = local.is_cluster ? 1 : 0
  name  = "nodes"
  tags  = var.tags

  dns_config {
    namespace_id = aws_service_discovery_private_dns_namespace.this[0].id
    # Up to eight addresses are in an answer: see the precondition of the service.
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      # Nodes look every five seconds.
      ttl = 5
    }
  }
}
