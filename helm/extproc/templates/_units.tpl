{{/* Durations and sizes in the words of config.yaml, as numbers that Kubernetes takes. */}}

{{/* Seconds, rounded up, of `90s`, `15m`, `1h`. */}}
{{- define "extproc.seconds" -}}
{{- $text := toString . -}}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?(ms|s|m|h|d)$" $text) -}}
{{- fail (printf "%q is no duration. Write it as 90s, 15m or 1h." $text) -}}
{{- end -}}
{{- $each := dict "ms" 0.001 "s" 1 "m" 60 "h" 3600 "d" 86400 -}}
{{- mulf (regexFind "^[0-9.]+" $text | float64) (get $each (regexFind "[a-z]+$" $text)) | ceil | int64 -}}
{{- end }}

{{/* MiB, rounded up, of a size of config.yaml (`64KiB`, `1GiB`) or of Kubernetes (`512Mi`, `2Gi`). */}}
{{- define "extproc.mebibytes" -}}
{{- $text := toString . -}}
{{- if not (regexMatch "^[0-9]+(B|[KMGT]i|[KMG]iB)$" $text) -}}
{{- fail (printf "%q is no size. Write it as 512MiB or 1GiB in config, as 512Mi or 1Gi elsewhere." $text) -}}
{{- end -}}
{{- $each := dict "" 0.00000095367431640625 "K" 0.0009765625 "M" 1 "G" 1024 "T" 1048576 -}}
{{- mulf (regexFind "^[0-9]+" $text | float64) (get $each (regexFind "[KMGT]" $text)) | ceil | int64 -}}
{{- end }}
