variable "name" {
  description = "Name of everything that is made."
  type        = string
  default     = "shardflight"
}

variable "image" {
  description = "The container image, built by deploy/Containerfile."
  type        = string
}

variable "stream_arns" {
  description = "ARNs of the streams that are read."
  type        = list(string)

  validation {
    condition     = length(var.stream_arns) > 0
    error_message = "At least one stream must be named."
  }
}

variable "write" {
  description = "Whether INSERT and ingest may put records into these streams."
  type        = bool
  default     = false
}

variable "fan_out_consumer" {
  description = "Name of the enhanced fan-out consumer; empty = shards are polled."
  type        = string
  default     = ""
}

variable "kms_key_arns" {
  description = "Customer-managed keys that encrypt the streams."
  type        = list(string)
  default     = []
}

variable "catalog" {
  description = "Where the table definitions are: bucket and prefix of object storage."
  type = object({
    bucket = string
    prefix = string
  })
}

variable "segments" {
  description = "Where nodes share segments: bucket and prefix of object storage; null = each has its own alone."
  type = object({
    bucket = string
    prefix = string
  })
  default = null
}

variable "lake" {
  description = "Prefixes of a bucket that tables over files may read, and in which COPY and offload jobs may write; by a role of its own, if it is named. null = none."
  type = object({
    bucket   = string
    read     = optional(list(string), [])
    write    = optional(list(string), [])
    role_arn = optional(string)
  })
  default = null
}

variable "environment" {
  description = "Further keys of the configuration, as SHARDFLIGHT_ variables."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Variables whose values are kept in Secrets Manager or Parameter Store: name of the variable to ARN. SHARDFLIGHT_AUTH__TOKENS belongs here."
  type        = map(string)
  default     = {}
}

variable "tasks" {
  description = "Tasks of the service. Each serves by itself, behind the load balancer, unless `cluster_token_arn` makes them one cluster."
  type        = number
  default     = 1

  validation {
    condition     = var.tasks >= 1
    error_message = "At least one task must run."
  }
}

variable "cluster_token_arn" {
  description = "Where Secrets Manager or Parameter Store keeps the token of the nodes, 32 bytes or more; with it the tasks are one cluster. Empty: each is alone."
  type        = string
  default     = ""
}

variable "cpu" {
  description = "CPU units of a task; 1024 are one vCPU."
  type        = number
  default     = 2048
}

variable "memory" {
  description = "MiB of a task."
  type        = number
  default     = 8192
}

variable "disk" {
  description = "GiB of a task's disk, for segments and spill."
  type        = number
  default     = 60
}

variable "architecture" {
  description = "X86_64 or ARM64, as the image is."
  type        = string
  default     = "ARM64"
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, of two availability zones or more."
  type        = list(string)
}

variable "client_cidrs" {
  description = "Addresses that may call Flight SQL."
  type        = list(string)
}

variable "scraper_security_group_ids" {
  description = "Security groups that may scrape /metrics."
  type        = list(string)
  default     = []
}

variable "certificate_arn" {
  description = "ACM certificate of the load balancer, where TLS ends."
  type        = string
}

variable "alarm_topic_arns" {
  description = "SNS topics that alarms tell."
  type        = list(string)
  default     = []
}

variable "lag_alarm_ms" {
  description = "Age of the oldest unread record that raises an alarm."
  type        = number
  default     = 3600000
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30
}

variable "tags" {
  description = "Tags of everything that is made."
  type        = map(string)
  default     = {}
}
