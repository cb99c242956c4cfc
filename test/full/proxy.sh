#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # traps call what is here
# Goal: clients in WebSocket mode work through Debian's nginx and Caddy as packaging/proxy sets them
# up. Both are installed where they are missing, and not started but by the tests. Traefik is no
# package of Debian's, so of its example only paths and ports are tested.
set -eu
cd "$(dirname "$0")/../.."

skip()
{
	echo "SKIP proxy: $*"
	exit 0
}

policy=/usr/sbin/policy-rc.d
made_policy=
take_back()
{
	[ -z "$made_policy" ] || rm -f "$policy"
}
trap take_back EXIT
trap 'exit 1' HUP INT TERM

wanted=
for name in nginx caddy openssl; do
	command -v "$name" >/dev/null || wanted="$wanted $name"
done
if [ -n "$wanted" ]; then
	[ "$(id -u)" -eq 0 ] || skip "missing:$wanted"
	command -v apt-get >/dev/null || skip "missing:$wanted"
	# What is installed mustn't take this machine's port 80.
	if [ ! -e "$policy" ]; then
		made_policy=yes
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	apt-get update -q >/dev/null || true
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $wanted >/dev/null
fi

failed=0
said=$(mktemp)
for name in nginx caddy example; do
	if RDSRV="${RDSRV:-$PWD/build/rdsrv}" /usr/bin/python3 -m pytest -q -k "$name" \
		test/e2e/test_reverse_proxy.py >"$said" 2>&1 && ! grep -q skipped "$said"; then
		echo "PASS proxy: $name"
	else
		sed 's/^/  /' "$said"
		echo "FAIL proxy: $name"
		failed=1
	fi
done
rm -f "$said"
exit $failed
