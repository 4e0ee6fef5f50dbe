output "url" {
  description = "Where clients connect, by a name of the certificate that points at it."
  value       = "grpc+tls://${aws_lb.this.dns_name}:443"
}

output "server_role_arn" {
  description = "Who the server is; tables with a role of their own must trust it."
  value       = aws_iam_role.server.arn
}

output "checkpoint_table" {
  description = "The table of checkpoints."
  value       = aws_dynamodb_table.checkpoints.name
}

output "security_group_id" {
  description = "The tasks' security group."
  value       = aws_security_group.server.id
}
