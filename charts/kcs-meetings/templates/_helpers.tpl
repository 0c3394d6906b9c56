{{/* Names and pieces that several templates use. The context is the chart's root. */}}

{{- define "kcs.name" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "kcs.poolNamespace" -}}
{{- .Values.pools.namespace | default .Release.Namespace -}}
{{- end }}

{{/* What all objects have. Takes (list root component). */}}
{{- define "kcs.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: kcs-meetings
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{/* What selects the pods of a part, and never changes. Takes (list root component). */}}
{{- define "kcs.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: kcs-meetings
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "kcs.selectorText" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name=kcs-meetings,app.kubernetes.io/instance={{ $root.Release.Name }},app.kubernetes.io/component={{ index . 1 }}
{{- end }}

{{/* The full name of an image. Takes (list root name). */}}
{{- define "kcs.image" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.image.registry }}{{ . }}/{{ end -}}
kcs-meetings/{{ index . 1 }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{/* What every pod of the chart has: Pod Security's `restricted`. Takes (list root mountToken). */}}
{{- define "kcs.pod" -}}
{{- $root := index . 0 -}}
automountServiceAccountToken: {{ index . 1 }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "kcs.container" -}}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Where the part's pods may and should run. Takes (list root component values). */}}
{{- define "kcs.scheduling" -}}
{{- $values := index . 2 -}}
topologySpreadConstraints:
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "kcs.selector" (list (index $ 0) (index $ 1)) | nindent 8 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Variables from a map of values, in the order of their names. */}}
{{- define "kcs.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{- define "kcs.redisSecret" -}}
{{- .Values.redis.external.existingSecret | default (printf "%s-redis" (include "kcs.name" .)) -}}
{{- end }}
{{- define "kcs.redisKey" -}}
{{- ternary .Values.redis.external.key "url" (ne .Values.redis.external.existingSecret "") -}}
{{- end }}
{{- define "kcs.sqlSecret" -}}
{{- .Values.postgresql.external.existingSecret | default (printf "%s-postgresql" (include "kcs.name" .)) -}}
{{- end }}
{{- define "kcs.sqlKey" -}}
{{- ternary .Values.postgresql.external.key "url" (ne .Values.postgresql.external.existingSecret "") -}}
{{- end }}
{{- define "kcs.signingSecret" -}}
{{- .Values.secrets.signing | default (printf "%s-signing" (include "kcs.name" .)) -}}
{{- end }}
{{- define "kcs.internalSecret" -}}
{{- .Values.secrets.internal | default (printf "%s-internal" (include "kcs.name" .)) -}}
{{- end }}
{{- define "kcs.turnSecret" -}}
{{- .Values.secrets.turn | default (printf "%s-turn" (include "kcs.name" .)) -}}
{{- end }}
{{- define "kcs.webhookSecret" -}}
{{- .Values.operator.evictionWebhook.existingSecret | default (printf "%s-webhook" (include "kcs.name" .)) -}}
{{- end }}

{{/* What a Secret has now under a key, else what is given: what was made once is kept. Takes (list root name key new). */}}
{{- define "kcs.kept" -}}
{{- $root := index . 0 -}}
{{- $found := dig "data" (index . 2) "" (lookup "v1" "Secret" $root.Release.Namespace (index . 1) | default dict) -}}
{{- if $found }}{{ $found | b64dec }}{{ else }}{{ index . 3 }}{{ end -}}
{{- end }}

{{/* What the webhook's Secret has under a key; of one of your own, a value may say it. Takes (list root key value). */}}
{{- define "kcs.webhookKnown" -}}
{{- $webhook := (index . 0).Values.operator.evictionWebhook -}}
{{- $said := ternary (get $webhook (index . 2)) "" (ne $webhook.existingSecret "") -}}
{{- $said | default (include "kcs.kept" (list (index . 0) (include "kcs.webhookSecret" (index . 0)) (index . 1) "")) -}}
{{- end }}

{{/* publicURL without its path: what browsers send as Origin. */}}
{{- define "kcs.origin" -}}
{{- $url := urlParse .Values.publicURL -}}
{{- printf "%s://%s" $url.scheme $url.host -}}
{{- end }}
{{- define "kcs.host" -}}
{{- (urlParse .Values.publicURL).hostname -}}
{{- end }}

{{/* Paths that browsers ask for. All others, /internal/, /metrics and the probes' among them, are for the cluster alone. */}}
{{- define "kcs.publicPaths" -}}
["/api/", "/.well-known/jwks.json", "/meeting/", "/m/", "/assets/"]
{{- end }}

{{- define "kcs.hostPorts" -}}
{{- $mode := dig "exposure" "mode" "HostPort" .Values.pools.default.spec -}}
{{- and .Values.pools.default.enabled (has $mode (list "HostPort" "HostNetwork")) | ternary "true" "" -}}
{{- end }}
