{{/*
What pods of gateways look like: a PodTemplateSpec, to which the control plane adds the gateway's name,
its ports, its service account and the roots by which the control plane is known.
*/}}
{{- define "culvert.gateway.pod" -}}
{{- $gateways := .Values.gateways -}}
metadata:
  labels:
    app.kubernetes.io/name: culvert-gateway
    app.kubernetes.io/part-of: culvert
    # It is in the mesh by itself.
    culvert.dev/mesh: disabled
    istio.io/dataplane-mode: none
    {{- with $gateways.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- if .Values.monitoring.scrapeAnnotations }}
    {{- include "culvert.scrape" 15020 | nindent 4 }}
    {{- end }}
    {{- with $gateways.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  # Variables of services would begin like those of settings.
  enableServiceLinks: false
  automountServiceAccountToken: false
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $gateways.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ add (int $gateways.drainSeconds) 10 }}
  {{- with $gateways.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $gateways.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $gateways.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    runAsNonRoot: true
    seccompProfile:
      type: RuntimeDefault
    # Ports below 1024, without a capability.
    sysctls:
      - name: net.ipv4.ip_unprivileged_port_start
        value: "0"
  containers:
    - name: culvert
      image: {{ include "culvert.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      env:
        - name: CULVERT_CONTROL
          value: https://culvert-control.{{ include "culvert.namespace" . }}.svc:15012
        - name: CULVERT_CONTROL_ROOT
          value: /etc/culvert/root/root.pem
        - name: CULVERT_CA_TOKEN
          value: /run/secrets/culvert/token
        - name: CULVERT_TRUST_DOMAIN
          value: {{ .Values.mesh.trustDomain | quote }}
        - name: CULVERT_CLUSTER
          value: {{ .Values.mesh.cluster | quote }}
        {{- with .Values.mesh.network }}
        - name: CULVERT_NETWORK
          value: {{ . | quote }}
        {{- end }}
        - name: CULVERT_METRICS_ADDRESS
          value: 0.0.0.0:15020
      ports:
        - name: metrics
          containerPort: 15020
          protocol: TCP
      readinessProbe:
        httpGet:
          port: metrics
          path: /healthz/ready
        periodSeconds: 2
        failureThreshold: 3
      resources: {{- toYaml $gateways.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: root
          mountPath: /etc/culvert/root
          readOnly: true
        - name: token
          mountPath: /run/secrets/culvert
          readOnly: true
  volumes:
    # Of the gateway's own namespace: the control plane puts it there.
    - name: root
    # By which the gateway proves to the control plane which one it is.
    - name: token
      projected:
        sources:
          - serviceAccountToken:
              audience: culvert
              expirationSeconds: 3600
              path: token
{{- end -}}
