{{/* What the node's container and `culvert uninstall` both need of the machine. */}}

{{/* Root of the machine in what it has to be, and in nothing else. */}}
{{- define "culvert.node.security" -}}
# Entering a pod's network namespace and loading programs (SYS_ADMIN, which has BPF and PERFMON in
# it), listening and routing there (NET_ADMIN). What is left out is not missed: no file of another
# owner is touched, no process of another container is seen.
runAsUser: 0
runAsGroup: 0
runAsNonRoot: false
privileged: false
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  add: [NET_ADMIN, SYS_ADMIN]
# The runtime's own filter: with SYS_ADMIN it lets bpf(2), setns(2) and mount(2) through.
seccompProfile:
  type: RuntimeDefault
# The runtimes' profiles forbid writing below /sys, where the pins are, and mount(2).
appArmorProfile:
  type: Unconfined
{{- with .Values.node.seLinuxOptions }}
seLinuxOptions: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Each at the place it has on the machine: paths are told to other processes, and recorded. */}}
{{- define "culvert.node.mounts" -}}
- name: run
  mountPath: /run/culvert
# Names of pods' network namespaces, also those that come later.
- name: netns
  mountPath: /run/netns
  mountPropagation: HostToContainer
- name: bpf
  mountPath: /sys/fs/bpf
- name: cgroup
  mountPath: /sys/fs/cgroup
{{- with .Values.node.cni.confDir }}
- name: cni-conf
  mountPath: {{ . }}
{{- end }}
{{- with .Values.node.cni.binDir }}
- name: cni-bin
  mountPath: {{ . }}
{{- end }}
{{- end -}}

{{- define "culvert.node.volumes" -}}
- name: run
  hostPath:
    path: /run/culvert
    type: DirectoryOrCreate
- name: netns
  hostPath:
    path: /run/netns
    type: DirectoryOrCreate
- name: bpf
  hostPath:
    path: /sys/fs/bpf
    type: Directory
- name: cgroup
  hostPath:
    path: /sys/fs/cgroup
    type: Directory
{{- with .Values.node.cni.confDir }}
- name: cni-conf
  hostPath:
    path: {{ . }}
    type: DirectoryOrCreate
{{- end }}
{{- with .Values.node.cni.binDir }}
- name: cni-bin
  hostPath:
    path: {{ . }}
    type: DirectoryOrCreate
{{- end }}
{{- end -}}

{{/* Where pods of nodes run, and as what. */}}
{{- define "culvert.node.place" -}}
# Pods are held, probed and guarded from the machine's own network, and a new process takes the
# listeners over that an older one has there. No port is declared, or two pods could not be on one
# node, as they are while one takes over from the other.
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- with .Values.node.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.node.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.node.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.node.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The arguments that undo what a node did to its machine. */}}
{{- define "culvert.node.uninstall" -}}
- uninstall
{{- with .Values.node.cni.confDir }}
- --cni-conf-dir={{ . }}
{{- end }}
{{- with .Values.node.cni.binDir }}
- --cni-bin-dir={{ . }}
{{- end }}
{{- with .Values.node.settings.instance }}
- --instance={{ . }}
{{- end }}
{{- with .Values.node.settings.cgroup_root }}
- --cgroup-root={{ . }}
{{- end }}
{{- end -}}
