{{/* What the schema cannot say: each refusal is a sentence that tells what to do. */}}
{{- define "kcs.validate" -}}
{{- $v := .Values -}}
{{- if not $v.publicURL -}}
{{- fail "publicURL is empty: say where browsers reach the service, such as --set publicURL=https://meet.example.org" -}}
{{- end -}}
{{- if not (regexMatch "^https?://[A-Za-z0-9.-]+(:[0-9]+)?/?$" $v.publicURL) -}}
{{- fail (printf "publicURL %s is no address of a site: write it as https://meet.example.org, without a path" $v.publicURL) -}}
{{- end -}}
{{- range $v.signaling.allowedOrigins -}}
{{- if not (regexMatch "^https?://[A-Za-z0-9.-]+(:[0-9]+)?$" .) -}}
{{- fail (printf "signaling.allowedOrigins: %s is no origin: write it as https://portal.example.org, without a path; a star would let any page in" .) -}}
{{- end -}}
{{- end -}}
{{- range $v.signaling.trustedProxies -}}
{{- if or (not (regexMatch "^[0-9a-fA-F.:]+/[0-9]+$" .)) (hasSuffix "/0" .) -}}
{{- fail (printf "signaling.trustedProxies: %s is no network of proxies: write it as 10.1.0.0/16; /0 would let every client choose its address" .) -}}
{{- end -}}
{{- end -}}
{{- if and (hasPrefix "http://" $v.publicURL) (not (regexMatch "^http://(localhost|127\\.0\\.0\\.1)(:|/|$)" $v.publicURL)) (not $v.allowHTTP) -}}
{{- fail (printf "publicURL %s is not HTTPS: browsers give camera and microphone to HTTPS pages only (and to localhost). Take an https:// address" $v.publicURL) -}}
{{- end -}}
{{- if and (not $v.redis.builtIn) (not $v.redis.external.url) (not $v.redis.external.existingSecret) -}}
{{- fail "redis.builtIn is false and no other Redis is named: set redis.external.url or redis.external.existingSecret" -}}
{{- end -}}
{{- if and $v.redis.builtIn (or $v.redis.external.url $v.redis.external.existingSecret) -}}
{{- fail "redis.external names a Redis, but redis.builtIn is true: set redis.builtIn=false" -}}
{{- end -}}
{{- if and (not $v.postgresql.builtIn) (not $v.postgresql.external.url) (not $v.postgresql.external.existingSecret) -}}
{{- fail "postgresql.builtIn is false and no other database is named: set postgresql.external.url or postgresql.external.existingSecret" -}}
{{- end -}}
{{- if and $v.postgresql.builtIn (or $v.postgresql.external.url $v.postgresql.external.existingSecret) -}}
{{- fail "postgresql.external names a database, but postgresql.builtIn is true: set postgresql.builtIn=false" -}}
{{- end -}}
{{- if and $v.postgresql.external.url (not (hasPrefix "postgresql+asyncpg://" $v.postgresql.external.url)) -}}
{{- fail "postgresql.external.url must begin with postgresql+asyncpg://, the driver that signaling has" -}}
{{- end -}}
{{- if and $v.signaling.autoscaling.enabled (gt (int $v.signaling.autoscaling.minReplicas) (int $v.signaling.autoscaling.maxReplicas)) -}}
{{- fail "signaling.autoscaling.minReplicas is above maxReplicas" -}}
{{- end -}}
{{- if and $v.signaling.ingress.enabled $v.signaling.gateway.enabled -}}
{{- fail "signaling.ingress and signaling.gateway are both enabled: one of them brings browsers to signaling" -}}
{{- end -}}
{{- if and $v.signaling.gateway.enabled (not $v.signaling.gateway.parentRefs) -}}
{{- fail "signaling.gateway.enabled needs signaling.gateway.parentRefs: the Gateway that the route belongs to" -}}
{{- end -}}
{{- with dig "tracing" "endpoint" "" $v.operator -}}
{{- if not (regexMatch "^https?://[^\\s/?#@]+(/[^\\s?#]*)?$" .) -}}
{{- fail (printf "operator.tracing.endpoint: %s is no receiver of traces: write it as http://collector.observability:4318" .) -}}
{{- end -}}
{{- end -}}
{{- if and $v.operator.evictionWebhook.enabled $v.operator.evictionWebhook.existingSecret -}}
{{- range $key, $value := dict "ca.crt" "caBundle" "path" "path" -}}
{{- if not (include "kcs.webhookKnown" (list $ $key $value)) -}}
{{- fail (printf "operator.evictionWebhook.existingSecret: its key %s cannot be read here, and without it every eviction would be refused. Say it in operator.evictionWebhook.%s too" $key $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.signaling.turnServers (not $v.secrets.turn) -}}
{{- fail "signaling.turnServers names servers of your own: put their shared secret into a Secret and name it in secrets.turn" -}}
{{- end -}}
{{- $mode := dig "exposure" "mode" "HostPort" $v.pools.default.spec -}}
{{- if and $v.pools.default.enabled $v.networkPolicies.enabled (eq $mode "HostNetwork") (not $v.networkPolicies.nodeCIDRs) -}}
{{- fail "pools.default has exposure.mode HostNetwork: its pods come from the nodes' addresses, so name these in networkPolicies.nodeCIDRs (or set networkPolicies.enabled=false)" -}}
{{- end -}}
{{- if and $v.pools.createNamespace (not $v.pools.namespace) -}}
{{- fail "pools.createNamespace needs pools.namespace: what shall it be called?" -}}
{{- end -}}
{{- if and $v.pools.createNamespace (eq $v.pools.namespace .Release.Namespace) -}}
{{- fail "pools.createNamespace: pools.namespace is the release's own namespace, which is there already" -}}
{{- end -}}
{{- end }}
