#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: 20,000 peers over UDP, 2,000 over TCP and 500 over WebSocket, registered at once, stay online
# for three minutes while 50 punches a second pass; none is lost, memory stays flat.
set -eu
cd "$(dirname "$0")/../.."
make -j "$(nproc)" bench-fleet
