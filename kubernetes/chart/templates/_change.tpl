{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* Each of these changes the object .it in place, as the values of the chart .top say, and prints nothing. */ -}}

{{- define "bede.change" -}}
{{- $meta := .it.metadata -}}
{{- if hasKey $meta "namespace" -}}{{- $_ := set $meta "namespace" .top.Release.Namespace -}}{{- end -}}
{{- $_ := set $meta "labels" (merge (dict) (fromYaml (include "bede.labels" .top)) ($meta.labels | default dict)) -}}
{{- range .it.subjects -}}{{- $_ := set . "namespace" $.top.Release.Namespace -}}{{- end -}}
{{- range .it.webhooks -}}{{- include "bede.webhook" (dict "it" . "top" $.top) -}}{{- end -}}
{{- if has .it.kind (list "DaemonSet" "Deployment") -}}{{- include "bede.program" . -}}{{- end -}}
{{- if hasSuffix "AdmissionPolicy" .it.kind -}}{{- include "bede.policy" . -}}{{- end -}}
{{- if hasPrefix "MutatingAdmissionPolicy" .it.kind -}}
{{- /* Kubernetes 1.34 and 1.35 have these as v1beta1 alone. */ -}}
{{- $there := .top.Capabilities.APIVersions -}}
{{- $beta := printf "%sbeta1" .it.apiVersion -}}
{{- $kind := "/MutatingAdmissionPolicy" -}}
{{- if and ($there.Has (print $beta $kind)) (not ($there.Has (print .it.apiVersion $kind))) -}}
{{- $_ := set .it "apiVersion" $beta -}}
{{- end -}}
{{- end -}}
{{- if and (eq .it.kind "RuntimeClass") .top.Values.runtimeClass.scheduling -}}
{{- $_ := set .it "scheduling" .top.Values.runtimeClass.scheduling -}}
{{- end -}}
{{- end -}}

{{- /* The labels that Helm's users know. They are not on pods, whose selectors never change. */ -}}
{{- define "bede.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "bede.webhook" -}}
{{- $_ := set .it.clientConfig.service "namespace" .top.Release.Namespace -}}
{{- $_ := set .it "timeoutSeconds" .top.Values.webhook.timeoutSeconds -}}
{{- if and (eq .it.name "pods.bede.dev") (eq .top.Values.webhook.failurePolicy "Fail") -}}
{{- $_ := set .it "failurePolicy" "Fail" -}}
{{- /* Else no webhook could start while there is none. */ -}}
{{- $out := dict "key" "kubernetes.io/metadata.name" "operator" "NotIn"
      "values" (list .top.Release.Namespace "kube-system") -}}
{{- $_ := set .it.namespaceSelector "matchExpressions" (append .it.namespaceSelector.matchExpressions $out) -}}
{{- end -}}
{{- end -}}

{{- define "bede.policy" -}}
{{- range .it.spec.variables -}}
{{- if eq .name "classes" -}}
{{- $_ := set . "expression" (toJson $.top.Values.webhook.runtimeClasses | replace "\"" "'") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bede.program" -}}
{{- $name := trimPrefix "bede-" .it.metadata.name -}}
{{- $values := index .top.Values $name -}}
{{- $meta := .it.spec.template.metadata -}}
{{- $pod := .it.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- if .top.Values.fromTheNode -}}
{{- include "bede.fromTheNode" (dict "it" .it "pod" $pod "container" $container "top" .top) -}}
{{- end -}}
{{- $_ := set $container "image" (include "bede.image" (dict "image" $container.image "top" .top)) -}}
{{- $_ := set $container "imagePullPolicy" .top.Values.image.pullPolicy -}}
{{- with .top.Values.image.pullSecrets -}}
{{- $secrets := list -}}
{{- range . -}}{{- $secrets = append $secrets (dict "name" .) -}}{{- end -}}
{{- $_ := set $pod "imagePullSecrets" $secrets -}}
{{- end -}}
{{- $args := $container.args | default list -}}
{{- if eq $name "node" -}}
{{- $args = list (printf "--reserve=%s" $values.reserve) -}}
{{- $_ := set .it.spec.updateStrategy.rollingUpdate "maxUnavailable" $values.maxUnavailable -}}
{{- else -}}
{{- $_ := set .it.spec "replicas" $values.replicas -}}
{{- if ne .top.Release.Namespace "bede-system" -}}
{{- $args = append $args (printf "--namespace=%s" .top.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $name "webhook") (ne (join " " $values.runtimeClasses) "bede") -}}
{{- range $values.runtimeClasses -}}{{- $args = append $args (printf "--runtime-class=%s" .) -}}{{- end -}}
{{- end -}}
{{- if $args -}}{{- $_ := set $container "args" $args -}}{{- end -}}
{{- $_ := mergeOverwrite $container.resources $values.resources -}}
{{- $_ := mergeOverwrite $pod.nodeSelector $values.nodeSelector -}}
{{- range $key := list "tolerations" "affinity" "priorityClassName" -}}
{{- with index $values $key -}}{{- $_ := set $pod $key . -}}{{- end -}}
{{- end -}}
{{- $_ := merge $meta.labels $values.podLabels -}}
{{- with $values.podAnnotations -}}{{- $_ := set $meta "annotations" . -}}{{- end -}}
{{- end -}}

{{- /* Does what kustomize makes of from-the-node: the patch that has the object's kind and name is added to it. */ -}}
{{- define "bede.fromTheNode" -}}
{{- range splitList "\n---\n" (.top.Files.Get "from-the-node/usr.yaml") -}}
{{- $patch := fromYaml . -}}
{{- if and (eq $patch.kind $.it.kind) (eq $patch.metadata.name $.it.metadata.name) -}}
{{- $added := first $patch.spec.template.spec.containers -}}
{{- $_ := set $.container "image" $added.image -}}
{{- $_ := set $.container "volumeMounts" (concat $added.volumeMounts ($.container.volumeMounts | default list)) -}}
{{- $_ := set $.pod "volumes" (concat $patch.spec.template.spec.volumes ($.pod.volumes | default list)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The image .image of the files, changed as the values say. */ -}}
{{- define "bede.image" -}}
{{- $parts := splitList ":" .image -}}
{{- $values := .top.Values.image -}}
{{- $repository := $values.repository | default (first $parts) -}}
{{- $tag := $values.tag | default (ternary (last $parts) .top.Chart.AppVersion (gt (len $parts) 1)) -}}
{{- if $values.digest -}}{{ printf "%s@%s" $repository $values.digest }}{{- else -}}{{ printf "%s:%s" $repository $tag }}{{- end -}}
{{- end -}}
