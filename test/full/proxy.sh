#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: clients in WebSocket mode work through Debian's nginx and Caddy as packaging/proxy sets them
# up. Both are installed where they are missing, and not started but by the tests. Traefik is no
# package of Debian's, so of its example only paths and ports are tested.
set -eu
cd "$(dirname "$0")/../.."
title=proxy
. test/full/helpers/common.sh
. test/full/helpers/programs.sh

need_programs nginx caddy openssl
for kind in nginx caddy example; do
	expect "$kind" passes "$kind" test/e2e/test_reverse_proxy.py
done
exit $failed
