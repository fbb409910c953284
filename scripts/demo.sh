#!/usr/bin/env bash
# Scores real entities end to end on this machine: builds, starts a local AWS, deploys the CDK app to it, publishes
# the models and intelligence sources, enqueues sample entities, and prints their scores. Safe to run again; `make demo-stop` ends it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
STATE="$ROOT/.demo"
mkdir -p "$STATE"

step 1/9 "Checking tools: Rust, Node.js, Python"
require_rust; require_node; require_python
say "$(rustc --version | cut -d' ' -f1,2), node $(node --version), $("$PYTHON" --version 2>&1)"

step 2/9 "Python environment with the local AWS"
ensure_venv

step 3/9 "Node packages with the CDK"
ensure_npm

step 4/9 "Building the functions and the command line (the first time takes minutes)"
scripts/build.sh

step 5/9 "Address ranges"
ensure_dataset target/release/tribunal

step 6/9 "Starting the local AWS and deploying the stack to it"
scripts/local-aws.sh start
cat >"$STATE/tribunal" <<WRAP
#!/usr/bin/env bash
# tribunal, against the local AWS of the demo.
export AWS_ENDPOINT_URL=$(cat "$STATE/endpoint") AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_EC2_METADATA_DISABLED=true
unset AWS_PROFILE AWS_SESSION_TOKEN
exec "$ROOT/target/release/tribunal" "\$@"
WRAP
chmod +x "$STATE/tribunal"
scripts/deploy-local.sh "$(cat "$STATE/endpoint")" "$STATE"

step 7/9 "Publishing the models, the ensemble definition and the address ranges"
"$STATE/tribunal" publish --from models --dataset datasets/ip-ranges.bin --keep-lists

step 8/9 "Intelligence sources: a data set, and the databases that are installed here"
scripts/demo-sources.sh start

step 9/9 "Enqueueing sample entities and waiting for their scores"
"$PYTHON" scripts/sample_entities.py >"$STATE/samples.txt"
"$STATE/tribunal" enqueue --file "$STATE/samples.txt" --source demo --wait

cat <<TXT

${bold}Score your own:${reset}   .demo/tribunal score secure-app1e.site 8.8.8.8
${bold}Look closer:${reset}      .demo/tribunal get secure-app1e.site      .demo/tribunal list --verdict malicious --since 1h
${bold}Ask the sources:${reset}  .demo/tribunal sources list      .demo/tribunal sources check .demo/sources.toml
${bold}Everything else:${reset}  .demo/tribunal --help
${bold}Stop:${reset}             make demo-stop
TXT
say "done in $((SECONDS - STARTED)) s"
