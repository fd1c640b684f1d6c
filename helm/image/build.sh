#!/bin/sh
# `make image`: builds helm/image/Dockerfile with docker, podman or buildah, whichever is there, and says what it did.
#   IMAGE         its name (localhost/extproc:VERSION and :latest)
#   BUILD_IMAGE, PYTHON_IMAGE   base images; give both with their digest (name@sha256:…)
#   PIP_CONFIG    a pip.conf with the mirror to install from: it is there while pip runs, and not in the image
set -eu
cd "$(dirname "$0")/../.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
name=${IMAGE:-localhost/extproc:$version}

for tool in ${TOOL:-docker podman buildah}; do
    if command -v "$tool" >/dev/null; then break; fi
    tool=
done
if [ -z "$tool" ]; then
    echo "none of docker, podman and buildah is here to build an image with" >&2
    exit 2
fi

set -- --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "SOURCE_DATE_EPOCH=$epoch" \
    --build-arg "CREATED=$(date --utc --date="@$epoch" +%Y-%m-%dT%H:%M:%SZ)" --file helm/image/Dockerfile --tag "$name"
if [ "$name" = "localhost/extproc:$version" ]; then set -- "$@" --tag localhost/extproc:latest; fi
if [ -n "${PIP_CONFIG:-}" ]; then set -- "$@" --secret "id=pip,src=$PIP_CONFIG"; fi
for base in BUILD_IMAGE PYTHON_IMAGE; do
    eval "wanted=\${$base:-}"
    if [ -n "$wanted" ]; then set -- "$@" --build-arg "$base=$wanted"; fi
    case "$wanted" in
        *@sha256:*) ;;
        *) echo "$base is not pinned: for a release give it as NAME@sha256:DIGEST" >&2 ;;
    esac
done
case "$tool" in
    docker) export DOCKER_BUILDKIT=1; set -- build "$@" ;;
    *) set -- build "$@" --timestamp "$epoch" --ignorefile helm/image/Dockerfile.dockerignore ;;
esac
"$tool" "$@" .
echo "built $name with $tool: extproc $version, revision $revision, times of $(date --utc --date="@$epoch" +%F)"
