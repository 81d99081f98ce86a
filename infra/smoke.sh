#!/usr/bin/env bash
# Runs an image as its task does, and sees it become healthy, answer, and leave at SIGTERM.
#   infra/smoke.sh dagster|api|dashboard IMAGE
# Exit code 0: it did all of that; 1: it did not, and its log is on stderr; 2: wrong arguments or no engine.
set -euo pipefail
target=${1:-} image=${2:-}
case $target in
  dagster) memory=4g port=3000 path=/server_info ;;
  api) memory=3g port=8000 path=/health/live ;;
  dashboard) memory=1g port=8501 path=/_stcore/health ;;
  *) echo "usage: infra/smoke.sh dagster|api|dashboard IMAGE" >&2; exit 2 ;;
esac
[[ -n $image ]] || { echo "usage: infra/smoke.sh $target IMAGE" >&2; exit 2; }
command -v docker >/dev/null || { echo "there is no docker to run $image with" >&2; exit 2; }

container=$(docker run --detach --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
  --memory "$memory" --publish "127.0.0.1::$port" "$image")
trap 'docker rm --force --volumes "$container" >/dev/null' EXIT
fail() { echo "$image: $*" >&2; docker logs --tail 50 "$container" >&2; exit 1; }

for ((tries = 0; tries < 90; tries++)); do
  state=$(docker inspect --format '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$container")
  [[ $state == "running healthy" ]] && break
  [[ $state == running* ]] || fail "it ended: $state"
  sleep 2
done
[[ $state == "running healthy" ]] || fail "not healthy after 3 minutes: $state"
[[ $(docker exec "$container" id -u) == 10001 ]] || fail "its user is not 10001"
address=$(docker port "$container" "$port/tcp" | head -n 1)
curl --fail --silent --show-error --output /dev/null "http://$address$path" || fail "no answer on $path"
docker stop --time 60 "$container" >/dev/null
code=$(docker inspect --format '{{.State.ExitCode}}' "$container")
[[ $code == 0 || $code == 143 ]] || fail "it left with $code"
echo "$image: healthy, answers $path as user 10001 on a read-only root, leaves with $code"
