#!/usr/bin/env bash
# Compiles the address ranges that ASN and country features are looked up in: datasets/ip-ranges.bin.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_node
ensure_dataset target/release/tribunal
