{{- define "shardflight.name" -}}
{{- if contains "shardflight" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-shardflight" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "shardflight.selector" -}}
app.kubernetes.io/name: shardflight
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "shardflight.labels" -}}
{{ include "shardflight.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "shardflight.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "shardflight.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end -}}
{{- end }}

{{- /* What the server would refuse at its start is refused here. */ -}}
{{- define "shardflight.check" -}}
{{- $config := .Values.config | default dict -}}
{{- $protected := and .Values.tls.secretName $config.auth -}}
{{- if not (or .Values.insecure $protected) }}{{ fail "the server listens beyond loopback: set tls.secretName and config.auth, or insecure: true where the network itself keeps others out" }}{{ end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.cluster.enabled) }}{{ fail "replicas above 1 need cluster.enabled: nodes that do not know each other refuse each other's tickets" }}{{ end -}}
{{- if and .Values.autoscaling.enabled (not .Values.cluster.enabled) }}{{ fail "autoscaling needs cluster.enabled" }}{{ end -}}
{{- if .Values.cluster.enabled -}}
{{- $checkpoints := get $config "checkpoints" | default dict -}}
{{- if not (hasKey $checkpoints "dynamodb") }}{{ fail "cluster.enabled needs config.checkpoints.dynamodb, which all nodes share" }}{{ end -}}
{{- if not (or .Values.cluster.tlsSecretName .Values.insecure) }}{{ fail "cluster.enabled needs cluster.tlsSecretName, or insecure: true" }}{{ end -}}
{{- end -}}
{{- end }}

{{- /* shardflight.yaml */ -}}
{{- define "shardflight.config" -}}
{{- $config := deepCopy (.Values.config | default dict) -}}
{{- $_ := set $config "listen" "0.0.0.0:32010" -}}
{{- $_ := set $config "http" "0.0.0.0:8080" -}}
{{- $_ := set $config "data_dir" "/var/lib/shardflight" -}}
{{- $_ := set $config "insecure" .Values.insecure -}}
{{- $catalog := get $config "catalog" | default dict -}}
{{- if not (hasKey $catalog "path") -}}
{{- /* A mounted ConfigMap cannot be written. */ -}}
{{- $_ := set $catalog "path" "/etc/shardflight/tables" -}}
{{- $_ := set $catalog "ddl" false -}}
{{- end -}}
{{- $_ := set $config "catalog" $catalog -}}
{{- if .Values.tls.secretName }}{{ $_ := set $config "tls" (dict "cert" "/etc/shardflight/tls/tls.crt" "key" "/etc/shardflight/tls/tls.key") }}{{ end -}}
{{- if .Values.cluster.enabled -}}
{{- $cluster := dict "listen" "0.0.0.0:32011" "dns" (printf "%s-nodes.%s.svc:32011" (include "shardflight.name" .) .Release.Namespace) -}}
{{- if .Values.cluster.tlsSecretName -}}
{{- $tls := dict "cert" "/etc/shardflight/cluster-tls/tls.crt" "key" "/etc/shardflight/cluster-tls/tls.key" "ca" "/etc/shardflight/cluster-tls/ca.crt" -}}
{{- if .Values.cluster.tlsName }}{{ $_ := set $tls "name" .Values.cluster.tlsName }}{{ end -}}
{{- $_ := set $cluster "tls" $tls -}}
{{- end -}}
{{- $_ := set $config "cluster" $cluster -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}
