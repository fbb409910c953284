#!/usr/bin/env bash
# Bootstraps and deploys the CDK app to the local AWS at $1; the CDK's log goes to folder $2.
# The app is the one that is deployed to AWS: only the endpoint and the credentials differ. What follows is handed to
# `cdk deploy`, as in `-c sources=FILE`.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
endpoint=$1 logs=$2
shift 2
export AWS_ENDPOINT_URL=$endpoint AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_EC2_METADATA_DISABLED=true
export CDK_DEFAULT_ACCOUNT=000000000000 CDK_DEFAULT_REGION=us-east-1
unset AWS_PROFILE AWS_SESSION_TOKEN
export CDK_DISABLE_VERSION_CHECK=1 CI=true

run() { # run NAME ARGUMENT...: runs the CDK, and shows its log only when it fails
    local name=$1; shift
    say "cdk $name"
    (cd cdk && npx --no-install cdk "$@" --no-notices) >"$logs/cdk-$name.log" 2>&1 ||
        { tail -n 40 "$logs/cdk-$name.log" >&2; die "cdk $name failed; the end of its log ($logs/cdk-$name.log) is above"; }
}
run bootstrap bootstrap aws://000000000000/us-east-1
run deploy deploy "$@" --require-approval never --outputs-file "$logs/outputs.json"
