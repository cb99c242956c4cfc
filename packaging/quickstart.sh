#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: from a bare machine to a running server, and what to enter in a client.
# Run again, it says the same of the server that runs.
#
# usage: sh packaging/quickstart.sh [options of `rdsrv serve`...]
#        sh packaging/quickstart.sh status|stop [--data-dir DIR]
#
# Keys and peers are kept in ./data of the source tree, or in RDSRV_DATA_DIR, or in --data-dir DIR.
# `build/rdsrv serve --help` lists the options, once it is built.
set -eu

root=$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)
rdsrv=$root/build/rdsrv
data=${RDSRV_DATA_DIR:-$root/data}
START_SEC=20
STOP_SEC=20

# The head of this file.
usage()
{
	sed -n '3,${/^#/!q; s/^# \{0,1\}//; p;}' "$0"
}

say()
{
	echo "quickstart: $*"
}

die()
{
	echo "quickstart: $*" >&2
	exit 1
}

# --- asking the server

# ask ROLE WHAT: the answer goes to $answer, a complaint to $complaint.
ask()
{
	"$rdsrv" ctl --json --data-dir "$data" "$@" >"$answer" 2>"$complaint"
}

runs()
{
	[ -x "$rdsrv" ] && [ -d "$data" ] && ask id status
}

# Why runs() says no.
why_not()
{
	[ ! -s "$complaint" ] || sed -n '$s/^rdsrv ctl: //p' "$complaint"
	[ -s "$complaint" ] || echo "no server runs in $data"
}

# The answer is JSON with one member a line.
member()
{
	sed -n 's/^[[:space:]]*"'"$1"'":[[:space:]]*"\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' \
		"$answer" | head -n 1
}

setting()
{
	sed -n '/^[[:space:]]*"'"$1"'":[[:space:]]*{$/,/}/{
		s/^[[:space:]]*"value":[[:space:]]*"\(.*\)",$/\1/p
	}' "$answer"
}

# Whether the process is there and not just waiting to be buried.
alive()
{
	kill -0 "$1" 2>/dev/null && ! grep -q ') Z ' "/proc/$1/stat" 2>/dev/null
}

# --- what the server is like

# To $listening, lines "tcp ADDRESS:PORT": what the last start in the log listens on, or, where
# the log doesn't say, what the settings ask for.
find_listeners()
{
	case $(setting log-level) in
	error | warn) : ;;
	*) [ ! -f "$log" ] || logged_listeners ;;
	esac >"$listening"
	[ -s "$listening" ] || settings_listeners >"$listening"
}

logged_listeners()
{
	awk '
		/^[^ ]+ info +data directory / || /"event":"data directory"/ { n = 0 }
		/^[^ ]+ info +listening / || /"event":"listening"/ { line[n++] = $0 }
		function value(name, text) {
			if (!match(text, name "\"?[=:]\"?"))
				return "?"
			text = substr(text, RSTART + RLENGTH)
			sub(/[" ,}].*/, "", text)
			return text
		}
		END { for (i = 0; i < n; i++) print value("proto", line[i]), value("addr", line[i]) }
	' "$log"
}

settings_listeners()
{
	for name in nat-port port relay-port; do
		number=$(setting "$name")
		[ "$number" = off ] || echo "tcp *:$number"
		[ "$name" != port ] || echo "udp *:$number"
	done
}

# ports tcp|udp: like "21115-21117, 31000"
ports()
{
	sed -n "s/^$1 .*:\([0-9]*\)$/\1/p" "$listening" | sort -n -u | awk '
		function flush() { printf "%s%s", n++ ? ", " : "", from == to ? from : from "-" to }
		NR > 1 && $1 == to + 1 { to = $1; next }
		NR > 1 { flush() }
		{ from = to = $1 }
		END { if (NR) flush() }'
}

bracketed()
{
	case $1 in
	*:*) echo "[$1]" ;;
	*) echo "$1" ;;
	esac
}

# interface_address -4|-6: the first global address of the interface of the default route
interface_address()
{
	device=$(ip -o "$1" route show default 2>/dev/null |
		sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
	[ -z "$device" ] || ip -o "$1" addr show dev "$device" scope global |
		awk '{ sub("/.*", "", $4); print $4; exit }'
}

# By what clients may reach this machine: the address that the server is bound to, else one of the
# machine's own, else its name.
guess_host()
{
	bound=$(sed -n 's/^tcp \(.*\):[0-9]*$/\1/p' "$listening" | head -n 1)
	case $bound in
	'' | '?' | '*' | 0.0.0.0 | '[::]') ;;
	*)
		echo "$bound"
		return
		;;
	esac
	address=
	if command -v ip >/dev/null; then
		address=$(interface_address -4)
		[ -n "$address" ] || address=$(interface_address -6)
	fi
	[ -n "$address" ] || address=$(hostname -I 2>/dev/null | awk '{ print $1 }')
	bracketed "${address:-$(uname -n)}"
}

# This script's call for the same server.
again()
{
	words="sh $0 $1"
	case $data in
	"$root/data") ;;
	*[!A-Za-z0-9_./-]*) words="$words --data-dir '$data'" ;;
	*) words="$words --data-dir $data" ;;
	esac
	echo "$words"
}

report()
{
	pid=$(member pid)
	fingerprint=$(member fingerprint)
	directory=$(member data_dir)
	ask id settings || die "$(cat "$complaint")"
	log=$(setting log-file)
	find_listeners
	host=$(setting id-server)
	host=${id_server:-$host}
	guessed=
	if [ -z "$host" ]; then
		host=$(guess_host)
		guessed="   (a guess: if clients can't reach that, start with --id-server HOST)"
	fi
	set -- export-conf --data-dir "$data" --id-server "$host" --format
	"$rdsrv" "$@" json >"$complaint" 2>&1 || die "$(cat "$complaint")"
	# This JSON stands in one line.
	sed 's/[,{]"/\n"/g; s/}$//' "$complaint" >"$answer"
	string=$("$rdsrv" "$@" string 2>"$complaint") || die "$(cat "$complaint")"
	relay=$(member relay)
	key=$(member key)
	cat <<END
rdsrv runs as process $pid in $directory.

In each client, under Settings > Network, enter

  ID server      $(member host)$guessed
  Relay server   ${relay:-(leave it empty: it is the same machine)}
  Key            ${key:-(leave it empty: no key is asked for)}

or import this text there:

  $string

  Fingerprint    $fingerprint
  Listens on     TCP $(ports tcp); UDP $(ports udp)
  Firewall       has to let in TCP $(ports tcp) and UDP $(ports udp)
  Log            ${log:-goes to standard error}
  Stop           $(again stop)   (or: kill $pid)
END
}

# --- starting and stopping

build()
{
	sh "$root/packaging/deps.sh" build
	[ -x "$rdsrv" ] || say "building $rdsrv"
	make -C "$root" -j "$(nproc)" BUILD=build >"$answer" 2>&1 || {
		cat "$answer" >&2
		die "the build failed"
	}
}

failed_start()
{
	tail -n 20 "$data/rdsrv.log" >&2
	die "$1; above are the last lines of $data/rdsrv.log"
}

start()
{
	[ -d "$data" ] || mkdir -m 700 "$data"
	data=$(CDPATH='' cd -- "$data" && pwd)
	say "starting rdsrv serve in $data"
	(umask 077 && : >>"$data/rdsrv.log")
	# In a session of its own it outlives this shell and its terminal. Its complaints go to the
	# log too: what it says before it has one, and what a crash leaves.
	# shellcheck disable=SC2094 # both append
	setsid "$rdsrv" serve --data-dir "$data" --log-file "$data/rdsrv.log" "$@" \
		</dev/null >>"$data/rdsrv.log" 2>&1 &
	child=$!
	tries=$((START_SEC * 10))
	until runs; do
		alive "$child" || failed_start "the server did not start"
		tries=$((tries - 1))
		if [ "$tries" -eq 0 ]; then
			kill "$child"
			failed_start "the server was not ready after $START_SEC s and was stopped"
		fi
		sleep 0.1
	done
}

stop()
{
	runs || {
		say "$(why_not)"
		return
	}
	pid=$(member pid)
	kill "$pid" || die "can't stop process $pid"
	tries=$((STOP_SEC * 10))
	while alive "$pid"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || die "process $pid has not ended after $STOP_SEC s"
		sleep 0.1
	done
	say "stopped process $pid"
}

# --- words and options

word=start
case ${1:-} in
status | stop)
	word=$1
	shift
	;;
-h | --help)
	usage
	exit 0
	;;
'' | -*) ;;
*)
	usage >&2
	exit 2
	;;
esac

# Of the options, these matter here too.
id_server=
test_config=
next=
other=
for option in "$@"; do
	case $next in
	'')
		case $option in
		-d | --data-dir | --data-dir=*) ;;
		*) other=$option ;;
		esac
		;;
	id-server) id_server=$option ;;
	data-dir) data=$option ;;
	esac
	[ -z "$next" ] || {
		next=
		continue
	}
	case $option in
	--id-server | --data-dir) next=${option#--} ;;
	-d) next='data-dir' ;;
	--id-server=*) id_server=${option#*=} ;;
	--data-dir=*) data=${option#*=} ;;
	--test-config) test_config=yes ;;
	esac
done
if [ -n "$next" ]; then
	echo "quickstart: --$next needs a value" >&2
	exit 2
elif [ "$word" != start ] && [ -n "$other" ]; then
	echo "quickstart: $word takes --data-dir DIR, and no $other" >&2
	exit 2
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
answer=$scratch/answer
complaint=$scratch/complaint
listening=$scratch/listening

case $word in
stop) stop ;;
status)
	runs || die "$(why_not)"
	report
	;;
start)
	if [ -n "$test_config" ]; then
		build
		"$rdsrv" serve --data-dir "$data" "$@"
		exit
	elif runs; then
		[ $# -eq 0 ] || say "it runs already; for other options, stop it first"
	else
		build
		start "$@"
	fi
	report
	;;
esac
