{{/* The one namespace: names of the mesh's own identities begin with it. */}}
{{- define "culvert.namespace" -}}
{{- if ne .Release.Namespace "culvert-system" -}}
{{- fail (printf "install it into the namespace culvert-system, not %s: add --namespace culvert-system" .Release.Namespace) -}}
{{- end -}}
{{- .Release.Namespace -}}
{{- end -}}

{{/* Which image. */}}
{{- define "culvert.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}
{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change: selectors. Takes the part: node or control. */}}
{{- define "culvert.selector" -}}
app.kubernetes.io/name: culvert-{{ . }}
app.kubernetes.io/part-of: culvert
{{- end -}}

{{/* All labels of an object. Takes a list: the root, and the part. */}}
{{- define "culvert.labels" -}}
{{- $root := index . 0 -}}
{{ include "culvert.selector" (index . 1) }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
{{- end -}}

{{/* The annotations by which Prometheus finds a pod. Takes a port. */}}
{{- define "culvert.scrape" -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ . | quote }}
prometheus.io/path: /metrics
{{- end -}}

{{/*
Refuses fields of a settings file that the chart writes itself. Takes a list: where they stand, the
fields, and for each that is the chart's the value that says it.
*/}}
{{- define "culvert.unowned" -}}
{{- $where := index . 0 -}}
{{- $owned := index . 2 -}}
{{- range $field, $_ := index . 1 -}}
{{- with get $owned $field -}}
{{- fail (printf "%s.%s is set by the chart: say it with the value %s" $where $field .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Whose the namespaces are that Istio's label names. No pod is to be captured twice: where Istio's own
ztunnel runs, somebody has to say it.
*/}}
{{- define "culvert.ambient" -}}
{{- if .Values.mesh.ambientNamespaces -}}
{{- .Values.mesh.ambientNamespaces -}}
{{- else if lookup "apps/v1" "DaemonSet" "istio-system" "ztunnel" -}}
{{- fail "Istio's ztunnel runs in this cluster: say whose namespaces are that have istio.io/dataplane-mode=ambient, with the value mesh.ambientNamespaces: istio, or ours once ztunnel is gone" -}}
{{- else -}}
ours
{{- end -}}
{{- end -}}

{{/* Fields of both settings files. */}}
{{- define "culvert.settings" -}}
trust_domain: {{ .Values.mesh.trustDomain | quote }}
cluster: {{ .Values.mesh.cluster | quote }}
ambient_namespaces: {{ include "culvert.ambient" . }}
log_format: json
{{- end -}}

{{/* The node's settings file: what the chart decides, then what `node.settings` says. */}}
{{- define "culvert.node.settings" -}}
{{- $node := .Values.node -}}
{{- include "culvert.unowned" (list "node.settings" $node.settings (dict
  "trust_domain" "mesh.trustDomain"
  "ambient_namespaces" "mesh.ambientNamespaces"
  "cluster" "mesh.cluster"
  "network" "mesh.network"
  "control" "node.control"
  "control_root" "node.root"
  "ca_token" "node.tokenAudience"
  "drain_deadline" "node.drainSeconds"
  "cni_conf_dir" "node.cni.confDir"
  "cni_bin_dir" "node.cni.binDir"
)) -}}
{{- if not (or $node.control .Values.control.enabled) -}}
{{- fail "with control.enabled=false there is no control plane to follow: say which with the value node.control" -}}
{{- end -}}
{{- $own := fromYaml (include "culvert.settings" .) -}}
{{- $control := $node.control | default (printf "https://culvert-control.%s.svc:15012" (include "culvert.namespace" .)) -}}
{{- $_ := set $own "kubernetes" true -}}
{{- $_ := set $own "control" $control -}}
{{- $_ := set $own "control_root" (printf "/etc/culvert/root/%s" $node.root.key) -}}
{{- $_ := set $own "ca_token" "/run/secrets/culvert/token" -}}
{{- $_ := set $own "drain_deadline" (printf "%ds" (int $node.drainSeconds)) -}}
{{- $_ := set $own "linger" true -}}
{{- $_ := set $own "metrics_address" "0.0.0.0:15020" -}}
{{- $_ := set $own "readiness_address" "127.0.0.1:15021" -}}
{{- if .Values.mesh.network }}{{ $_ := set $own "network" .Values.mesh.network }}{{ end -}}
{{- if $node.cni.confDir }}{{ $_ := set $own "cni_conf_dir" $node.cni.confDir }}{{ end -}}
{{- if $node.cni.binDir }}{{ $_ := set $own "cni_bin_dir" $node.cni.binDir }}{{ end -}}
{{- if $node.control }}{{ $_ := set $own "report" false }}{{ end -}}
{{- toYaml (mergeOverwrite $own (deepCopy $node.settings)) -}}
{{- end -}}

{{/* The control plane's settings file. */}}
{{- define "culvert.control.settings" -}}
{{- $control := .Values.control -}}
{{- include "culvert.unowned" (list "control.settings" $control.settings (dict
  "trust_domain" "mesh.trustDomain"
  "ambient_namespaces" "mesh.ambientNamespaces"
  "cluster" "mesh.cluster"
  "drain_deadline" "control.drainSeconds"
  "ca_folder" "control.authoritySecret"
  "admission_address" "control.admission.enabled"
  "gateway_template" "gateways.deploy"
)) -}}
{{- $own := fromYaml (include "culvert.settings" .) -}}
{{- $host := printf "culvert-control.%s.svc" (include "culvert.namespace" .) -}}
{{- $_ := set $own "kubernetes" true -}}
{{- $_ := set $own "control_names" (list $host (printf "%s.cluster.local" $host)) -}}
{{- $_ := set $own "drain_deadline" (printf "%ds" (int $control.drainSeconds)) -}}
{{- $_ := set $own "metrics_address" "0.0.0.0:15014" -}}
{{- /* The pod's own loopback: `culvert status --kubernetes` comes there by a forwarded port. */ -}}
{{- $_ := set $own "admin_address" "127.0.0.1:15000" -}}
{{- $_ := set $own "state_dir" "/var/lib/culvert/control" -}}
{{- $_ := set $own "xds_address" "off" -}}
{{- $_ := set $own "xds_tls_address" "0.0.0.0:15012" -}}
{{- if $control.admission.enabled }}{{ $_ := set $own "admission_address" "0.0.0.0:15017" }}{{ end -}}
{{- if .Values.gateways.deploy }}{{ $_ := set $own "gateway_template" "/etc/culvert/gateway/pod.json" }}{{ end -}}
{{- if $control.authoritySecret }}{{ $_ := set $own "ca_folder" "/etc/culvert/authority" }}{{ end -}}
{{- toYaml (mergeOverwrite $own (deepCopy $control.settings)) -}}
{{- end -}}
