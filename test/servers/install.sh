#!/usr/bin/env bash
# Installs the servers that tests talk to. No test needs one yet, so there is nothing to install: LDAP and mail bring theirs.
set -euo pipefail
