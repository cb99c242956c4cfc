#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the end-to-end tests that wait for minutes (heartbeats, A's long silences) pass, against the
# sanitized build that test/run.sh has made.
set -eu
cd "$(dirname "$0")/../.."
if RDSRV="${RDSRV:-$PWD/build-asan/rdsrv}" /usr/bin/python3 -m pytest -q -n 6 -m slow test/e2e; then
	echo "PASS slow tests"
else
	echo "FAIL slow tests"
	exit 1
fi
