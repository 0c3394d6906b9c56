{{/* Pieces of the network policies. Most take (list root part). */}}

{{- define "kcs.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "kcs.name" (index . 0) }}-{{ index . 1 }}
  labels: {{- include "kcs.labels" (list (index . 0) (index . 1)) | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "kcs.selector" (list (index . 0) (index . 1)) | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end }}

{{- define "kcs.policyOfPods" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "kcs.name" (index . 0) }}-{{ index . 1 }}
  namespace: {{ include "kcs.poolNamespace" (index . 0) }}
  labels: {{- include "kcs.labels" (list (index . 0) (index . 1)) | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/managed-by: kcs-operator
      meetings.kcs.dev/role: {{ index . 1 }}
  policyTypes: [Ingress, Egress]
{{- end }}

{{- /* Pods of a role, and the nodes that such pods share the network with. Takes (list root role). */}}
{{- define "kcs.peerPods" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ include "kcs.poolNamespace" (index . 0) }}}
  podSelector:
    matchLabels: {app.kubernetes.io/managed-by: kcs-operator, meetings.kcs.dev/role: {{ index . 1 }}}
{{- range (index . 0).Values.networkPolicies.nodeCIDRs }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- end }}

{{- define "kcs.peerPart" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ (index . 0).Release.Namespace }}}
  podSelector:
    matchLabels: {{- include "kcs.selector" . | nindent 6 }}
{{- end }}

{{- define "kcs.dns" -}}
- ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- end }}

{{- define "kcs.apiServer" -}}
- ports: # the API server, whose address nobody knows beforehand
  {{- range .Values.networkPolicies.apiServerPorts }}
    - {protocol: TCP, port: {{ . }}}
  {{- end }}
{{- end }}

{{- define "kcs.toRedis" -}}
- ports: [{protocol: TCP, port: {{ .Values.redis.builtIn | ternary 6379 (include "kcs.externalPort" (list .Values.redis.external.url (.Values.redis.external.port | default 6379))) }}}]
  {{- if .Values.redis.builtIn }}
  to: {{- include "kcs.peerPart" (list . "redis") | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "kcs.externalPort" -}}
{{- regexFind ":[0-9]+$" (urlParse (index . 0)).host | trimPrefix ":" | default (index . 1) }}
{{- end }}

{{- define "kcs.metricsFrom" -}}
{{- with .Values.networkPolicies.metricsFrom }}
{{- toYaml . }}
{{- else }}
- namespaceSelector: {}
{{- end }}
{{- end }}

