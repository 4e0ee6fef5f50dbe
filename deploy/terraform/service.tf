locals {
  # TLS ends at the load balancer, and the security group lets in nobody else: so `insecure`.
  environment = merge(
    {
      SHARDFLIGHT_LISTEN                        = "0.0.0.0:32010"
      SHARDFLIGHT_HTTP                          = "0.0.0.0:8080"
      SHARDFLIGHT_INSECURE                      = "true"
      SHARDFLIGHT_DATA_DIR                      = "/var/lib/shardflight"
      SHARDFLIGHT_KINESIS__REGION               = data.aws_region.current.name
      SHARDFLIGHT_CATALOG__PATH                 = "s3://${var.catalog.bucket}/${var.catalog.prefix}"
      SHARDFLIGHT_CATALOG__DDL                  = "false"
      SHARDFLIGHT_CHECKPOINTS__DYNAMODB__TABLE  = aws_dynamodb_table.checkpoints.name
      SHARDFLIGHT_CHECKPOINTS__DYNAMODB__CREATE = "false"
    },
    var.segments == null ? {} : { SHARDFLIGHT_SEGMENTS__STORE = "s3://${var.segments.bucket}/${var.segments.prefix}" },
    var.lake == null ? {} : {
      SHARDFLIGHT_ALLOW__READ  = jsonencode([for prefix in local.lake.read : "s3://${local.lake.bucket}/${prefix}"])
      SHARDFLIGHT_ALLOW__WRITE = jsonencode([for prefix in local.lake.write : "s3://${local.lake.bucket}/${prefix}"])
    },
    local.lake.role_arn == null ? {} : { SHARDFLIGHT_LAKE__ROLE_ARN = local.lake.role_arn },
    var.fan_out_consumer == "" ? {} : { SHARDFLIGHT_READER__FAN_OUT__CONSUMER = var.fan_out_consumer },
    local.cluster_environment,
    var.environment,
  )
}

resource "aws_cloudwatch_log_group" "server" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  tags = var.tags
}

resource "aws_ecs_task_definition" "server" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  task_role_arn            = aws_iam_role.server.arn
  execution_role_arn       = aws_iam_role.execution.arn
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  ephemeral_storage {
    size_in_gib = var.disk
  }

  container_definitions = jsonencode([
    {
      name        = "shardflight"
      image       = var.image
      essential   = true
      command     = ["--log-format", "json", "serve"]
      environment = [for name, value in local.environment : { name = name, value = value }]
      secrets     = [for name, arn in merge(local.cluster_secrets, var.secrets) : { name = name, valueFrom = arn }]
      stopTimeout = 30
      portMappings = [
        { containerPort = 32010, protocol = "tcp" },
        { containerPort = 8080, protocol = "tcp" },
        { containerPort = 32011, protocol = "tcp" },
      ]
      healthCheck = {
        command     = ["CMD", "/usr/local/bin/shardflight", "health"]
        interval    = 10
        timeout     = 6
        startPeriod = 60
        retries     = 3
      }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.server.name
          awslogs-region        = data.aws_region.current.name
          awslogs-stream-prefix = "server"
        }
      }
    }
  ])
}

resource "aws_security_group" "server" {
  name        = var.name
  description = "Shardflight"
  vpc_id      = var.vpc_id
  tags        = var.tags

  ingress {
    description = "Flight SQL, through the load balancer, which keeps the client's address"
    from_port   = 32010
    to_port     = 32010
    protocol    = "tcp"
    cidr_blocks = var.client_cidrs
  }

  ingress {
    description     = "Health checks of the load balancer, and metrics"
    from_port       = 8080
    to_port         = 8080
    protocol        = "tcp"
    security_groups = concat([aws_security_group.balancer.id], var.scraper_security_group_ids)
  }

  # Nodes of a cluster; nobody listens there without one.
  ingress {
    description = "Each other"
    from_port   = 32011
    to_port     = 32011
    protocol    = "tcp"
    self        = true
  }

  egress {
    description = "Each other"
    from_port   = 32011
    to_port     = 32011
    protocol    = "tcp"
    self        = true
  }

  egress {
    description = "Kinesis, DynamoDB, S3"
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "balancer" {
  name        = "${var.name}-balancer"
  description = "Clients of Shardflight"
  vpc_id      = var.vpc_id
  tags        = var.tags

  ingress {
    description = "Flight SQL over TLS"
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = var.client_cidrs
  }

  egress {
    description = "The tasks"
    from_port   = 8080
    to_port     = 32010
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_lb" "this" {
  name               = var.name
  internal           = true
  load_balancer_type = "network"
  subnets            = var.subnet_ids
  security_groups    = [aws_security_group.balancer.id]
  tags               = var.tags
}

resource "aws_lb_target_group" "flight" {
  name                 = var.name
  port                 = 32010
  protocol             = "TCP"
  target_type          = "ip"
  vpc_id               = var.vpc_id
  deregistration_delay = 30
  preserve_client_ip   = true
  tags                 = var.tags

  # A session is of the task that made it; in a cluster the others relay its calls.
  stickiness {
    enabled = true
    type    = "source_ip"
  }

  health_check {
    protocol            = "HTTP"
    port                = 8080
    path                = "/readyz"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "flight" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "TLS"
  certificate_arn   = var.certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  # gRPC is HTTP/2, and the client asks for it by ALPN.
  alpn_policy = "HTTP2Only"
  tags        = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.flight.arn
  }
}

resource "aws_ecs_service" "server" {
  name            = var.name
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.server.arn
  desired_count   = var.tasks
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"
  tags            = var.tags

  network_configuration {
    subnets         = var.subnet_ids
    security_groups = [aws_security_group.server.id]
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.flight.arn
    container_name   = "shardflight"
    container_port   = 32010
  }

  dynamic "service_registries" {
    for_each = aws_service_discovery_service.nodes

    content {
      registry_arn = service_registries.value.arn
    }
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  depends_on = [aws_lb_listener.flight, aws_iam_role_policy.server]

  lifecycle {
    # Route 53 answers with eight addresses of a name, and nodes must agree on who is one.
    precondition {
      condition     = !local.is_cluster || var.tasks <= 8
      error_message = "A cluster of this module has at most 8 tasks."
    }
  }
}
