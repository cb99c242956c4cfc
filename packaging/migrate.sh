#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: rdsrv takes over from hbbs and hbbr on this host: key, peers, lists and settings; --back
# returns to them. Their directory stays as it is, and nothing in /var/lib/rdsrv is overwritten.
#
# usage: rdsrv-migrate [--yes] [--dry-run] [DIRECTORY | COMPOSE_FILE]
#        rdsrv-migrate --back [--yes] [--dry-run]
#
#   --yes        don't ask
#   --dry-run    say what would be done, and do nothing
#   --back       stop rdsrv, and start what it took over from
#   --root DIR   for tests and images: all paths are below DIR
#
# DIRECTORY holds id_ed25519 or db_v2.sqlite3; without one it is looked for. See rdsrv-migrate(8).
set -eu
umask 077

self=$(readlink -f "$0")
shared=${self%/*}/migrate
root=
yes=
dry_run=
word=forth
given=
note=
compose_file=
relay_dir=
id_unit=
relay_unit=
OURS='rdsrv rdsrv-id rdsrv-relay'
BEGIN_MARK='# --- taken over from hbbs by rdsrv-migrate'
END_MARK='# --- end of what was taken over'

usage()
{
	sed -n '3,${/^#/!q; s/^# \{0,1\}//; p;}' "$self"
}

say()
{
	echo "rdsrv-migrate: $*" >&2 || : # a terminal that is gone ends nothing
}

die()
{
	say "$*"
	exit 1
}

wrong_use()
{
	say "$*"
	exit 2
}

# shellcheck source=packaging/migrate/old.sh
. "$shared/old.sh"

# --- what is there

holds_server()
{
	[ -f "$1/id_ed25519" ] || [ -f "$1/db_v2.sqlite3" ]
}

known_directories()
{
	for place in /var/lib/rustdesk /var/lib/rustdesk-server /opt/rustdesk-server/data; do
		! holds_server "$root$place" || (cd "$root$place" && pwd -P)
	done | sort -u
}

is_used()
{
	is_running "$1" || is_enabled "$1"
}

look_for_directory()
{
	for unit in "$id_unit" "$relay_unit"; do
		from=$(directory_of_unit "$unit")
		if [ -n "$from" ] && { holds_server "$from" || [ -z "$id_unit" ]; }; then
			return
		fi
		# A directory of the usual places may be one of an earlier time.
		[ -z "$unit" ] || [ "$unit" != "${id_unit:-$relay_unit}" ] || ! is_used "$unit" ||
			die "$unit.service runs in ${from:-a directory that it does not name}," \
				"and neither id_ed25519 nor db_v2.sqlite3 is found there:" \
				"name its directory"
	done
	from=$(known_directories)
	[ "$(echo "$from" | wc -l)" -eq 1 ] || wrong_use "several directories hold a server:" \
		"name one of $(echo "$from" | tr '\n' ' ')"
	[ -n "$from" ] || look_for_compose "$(pwd -P)" "no server of hbbs in the usual places:" \
		"name its directory or Compose file"
}

# Units that have their server in another directory than the named one are of another installation.
# A relay may have a directory of its own.
leave_units_of_elsewhere()
{
	for role in id relay; do
		eval "unit=\$${role}_unit"
		dir=$(directory_of_unit "$unit")
		[ "$(readlink -f "${dir:-$from}")" != "$(readlink -f "$from")" ] || continue
		holds_server "$dir" || continue
		[ "$role" = id ] || [ -z "$id_unit" ] || continue
		! is_used "$unit" || die "$unit.service runs in $dir, not in $from: name its" \
			"directory, or stop and disable it first"
		eval "${role}_unit="
	done
}

# look_for_compose DIR WHY...
look_for_compose()
{
	compose_file=$(compose_file_in "$1")
	shift
	[ -n "$compose_file" ] || die "$@"
	read_compose
}

# From which directory, and what runs there.
look()
{
	if is_compose "$given"; then
		compose_file=$(readlink -f "$(dirname "$given")")/${given##*/}
		read_compose
	elif [ -n "$given" ] && ! holds_server "$given"; then
		look_for_compose "$(readlink -f "$given")" "$given: neither id_ed25519 nor" \
			"db_v2.sqlite3 is there, nor a Compose file"
	else
		# shellcheck disable=SC2086 # words
		id_unit=$(pick_unit $OLD_ID)
		# shellcheck disable=SC2086 # words
		relay_unit=$(pick_unit $OLD_RELAY)
		from=$given
		if [ -n "$given" ]; then leave_units_of_elsewhere; else look_for_directory; fi
	fi
	[ -d "$from" ] || die "$from: no such directory"
	from=$(cd "$from" && pwd -P)
	[ "$from" != "$(readlink -f "$target")" ] ||
		die "$from is rdsrv's own directory: nothing to take over"
	[ -n "$id_unit$relay_unit$compose_file" ] || look_beside
}

# A directory beside a Compose file is mounted by that.
look_beside()
{
	found=$from
	compose_file=$(compose_file_in "${from%/*}")
	[ -n "$compose_file" ] || return 0
	read_compose
	[ "$(readlink -f "$from")" = "$found" ] ||
		die "$compose_file mounts $from, not $found: name the Compose file to take over" \
			"from that, or move it away"
	from=$found
}

read_roles()
{
	relay_dir=${relay_dir:-$from}
	for role in id relay; do
		eval "unit=\$${role}_unit"
		[ -z "$unit" ] || unit_words "$unit" >"$scratch/$role.words"
		[ "$role,$unit" = "relay," ] || [ "$role" = id ] ||
			relay_dir=$(directory_of_unit "$unit")
		[ -d "$relay_dir" ] || relay_dir=$from
		dir=$from
		[ "$role" = id ] || dir=$relay_dir
		[ ! -f "$scratch/$role.words" ] || read_settings "$role" "$dir"
	done
	new=rdsrv
	[ -f "$scratch/relay.words" ] || [ ! -f "$scratch/id.words" ] || new="rdsrv-id"
	[ -f "$scratch/id.words" ] || [ ! -f "$scratch/relay.words" ] || new="rdsrv-relay"
	# The other role, if rdsrv has it already, goes on in one process with this one.
	other=
	case $new in
	rdsrv-id) other="rdsrv-relay" ;;
	rdsrv-relay) other="rdsrv-id" ;;
	esac
	case " $ours_active$ours_enabled$(with_state active "$(of_state new)") " in
	*" ${other:-none} "*) new=rdsrv ;;
	*" rdsrv "*) [ "$(of_state new)" != rdsrv ] || new=rdsrv other= ;;
	*) other= ;;
	esac
}

database()
{
	file=$(value id db-url | sed 's/^sqlite:\(\/\/\)\{0,1\}//; s/?.*//')
	case $file in
	/*) if [ -n "$compose_file" ]; then path=$(on_host "$file"); else path=$root$file; fi ;;
	*) path=$from/${file:-db_v2.sqlite3} ;;
	esac
	[ -z "$file" ] || [ -f "$path" ] ||
		die "${path:-$file}, which the DB_URL of hbbs names, is not there on this host:" \
			"mount it, or correct DB_URL"
	echo "$path"
}

public_key()
{
	[ ! -f "$1/id_ed25519" ] || "$rdsrv" keygen --data-dir "$1" --public 2>"$scratch/why" ||
		die "$(tail -n 1 "$scratch/why")"
}

# Also one that is about to start again, after a failure.
is_running()
{
	case $(systemctl is-active "$1.service" 2>/dev/null) in
	active | activating | reloading | deactivating) ;;
	*) return 1 ;;
	esac
}

# Not "static" or "alias", of which systemctl says yes as well.
is_enabled()
{
	case $(systemctl is-enabled "$1.service" 2>/dev/null) in
	enabled*) ;;
	*) return 1 ;;
	esac
}

# those TEST UNIT...: the units for which is_running, or is_enabled.
those()
{
	how=$1
	shift
	for unit in "$@"; do
		if has_unit "$unit" && ! is_alias "$unit" && "$how" "$unit"; then
			printf '%s ' "$unit"
		fi
	done
}

# Without a line "new", what wrote the state didn't come to its end.
has_taken_over()
{
	[ -n "$(of_state new)" ]
}

is_live()
{
	[ -n "$active" ] || { [ -n "$compose_file" ] && ! has_taken_over; }
}

# --- before anything is done

# Lines of settings that say other than what is taken over.
contradicting()
{
	awk '
		{ at = index($0, "="); name = tolower(substr($0, 1, at - 1)) }
		{ value = substr($0, at + 1); gsub(/[ \t]/, "", name); gsub(/_/, "-", name) }
		{ gsub(/^[ \t]+|[ \t]+$/, "", value) }
		FNR == NR { ours[name] = value; next }
		name in ours && ours[name] != value' "$scratch/conf" -
}

check()
{
	has_unit "$new" || die "$new.service is not there: install rdsrv with its units first"
	owner=$(awk -F: '$1 == "rdsrv" { print $3 ":" $4 }' "$root/etc/passwd")
	[ -n "$owner" ] || die "there is no user rdsrv: run systemd-sysusers"
	there=$(public_key "$target")
	[ -z "$there" ] || [ "$there" = "$public" ] ||
		die "$target has another key, $there, than $from: if no client uses it, move" \
			"that directory away and run this again"
	[ ! -f "$db" ] || "$rdsrv" copy-db "$db" "$scratch/db" >/dev/null 2>"$scratch/why" ||
		die "$(cat "$scratch/why")"
	rm -f "$scratch/db"
	role=${new#rdsrv}
	role=${role#-}
	(cd "$scratch" && env -i "PATH=$PATH" "$rdsrv" "${role:-serve}" --data-dir . \
		--config conf --test-config) >/dev/null 2>"$scratch/why" ||
		die "$(tail -n 1 "$scratch/why")"
	[ ! -f "$conf" ] || awk -v begin="$BEGIN_MARK" -v end="$END_MARK" '
		$0 == begin { inside = 1 }
		$0 == end { inside = 0 }
		END { exit inside }' "$conf" ||
		die "$conf: there is \"$BEGIN_MARK\" without \"$END_MARK\":" \
			"put that line back, behind what was taken over"
	without_block | contradicting >"$scratch/other"
	[ ! -s "$scratch/other" ] ||
		die "$conf says \"$(head -n 1 "$scratch/other")\", hbbs something else:" \
			"remove that line"
}

plan()
{
	cat <<PLAN
rdsrv takes over from ${compose_file:-${id_unit:-hbbs}${relay_unit:+ and $relay_unit}}:

  key          ${public:-(there is none)}
  copied       from $from to $target:
               $(cd "$from" && file_names | tr '\n' ' ')
               the database: $([ -f "$db" ] && echo "$db" || echo none)
  settings     in $conf:
$(sed 's/^/               /' "$scratch/conf")
  stopped      ${compose_file:-${active:-(none runs)}}
  disabled     ${compose_file:-${enabled:-(none is enabled)}}
  started      $new.service${other:+, also in the place of $other.service}
PLAN
	[ -z "$note" ] || printf '\n  note         %s\n' "$note"
	printf '\n%s stays as it is; rdsrv-migrate --back returns to it.\n' "$from"
}

confirm()
{
	[ -z "$dry_run" ] || exit 0
	[ -z "$yes" ] || return 0
	[ -t 0 ] || wrong_use "there is no terminal to ask on: say --yes, or --dry-run"
	printf 'Go on? [y/N] '
	read -r answer || answer=
	case $answer in
	y | Y | yes) ;;
	*) die "nothing was done" ;;
	esac
}

# --- copying

file_names()
{
	for name in id_ed25519 id_ed25519.pub keyring.json keygen.log server.conf \
		id_ed25519.bak.* id_ed25519.pub.bak.* blocklist.txt blacklist.txt; do
		[ -z "$(file_of "$name")" ] || echo "$name"
	done
}

# The one that counts: the lists are hbbr's, and a key pair is of one directory.
file_of()
{
	first=
	[ "$1" = "${1%.txt}" ] || first=$relay_dir/$1
	for place in "$first" "$from/$1"; do
		[ -f "$place" ] || continue
		echo "$place"
		return
	done
}

# put FILE: a new file of $target gets its owner, is synced and named, in that order.
put()
{
	chown "$owner" "$1"
	sync "$1"
	mv "$1" "$target/$2"
}

copy_files()
{
	cd "$from"
	file_names | while IFS= read -r name; do
		file=$(file_of "$name")
		if [ -e "$target/$name" ]; then
			cmp -s "$file" "$target/$name" || say "$target/$name is there, and stays"
			continue
		fi
		cp "$file" "$target/.$name.$$"
		case $name in
		*.pub | *.pub.bak.* | *.txt | server.conf) chmod 644 "$target/.$name.$$" ;;
		esac
		put "$target/.$name.$$" "$name"
	done
	cd /
}

# An hbbs that ran till now has the newer peers. Those of an earlier time are kept beside them.
copy_database()
{
	[ -f "$db" ] || return 0
	if [ -f "$target/db_v2.sqlite3" ] && [ -z "$newer" ]; then
		say "$target/db_v2.sqlite3 is there, and stays"
		return
	fi
	peers=$("$rdsrv" copy-db "$db" "$target/.db.$$")
	aside=$(date +%Y%m%d%H%M%S)
	for end in -wal -shm ''; do
		[ ! -f "$target/db_v2.sqlite3$end" ] ||
			mv "$target/db_v2.sqlite3$end" "$target/db_before_$aside.sqlite3$end"
	done
	put "$target/.db.$$" db_v2.sqlite3
	say "$peers peers are in $target/db_v2.sqlite3"
}

without_block()
{
	[ ! -f "$conf" ] || awk -v begin="$BEGIN_MARK" -v end="$END_MARK" '
		$0 == begin { inside = 1 }
		!inside { print }
		$0 == end { inside = 0 }' "$conf"
}

write_conf()
{
	if [ -f "$conf" ]; then
		cp -p "$conf" "$conf.$$"
	else
		: >"$conf.$$"
		chmod 644 "$conf.$$"
	fi
	{
		without_block
		echo "$BEGIN_MARK"
		cat "$scratch/conf"
		echo "$END_MARK"
	} >"$conf.$$"
	sync "$conf.$$"
	mv "$conf.$$" "$conf"
}

of_state()
{
	[ ! -f "$state" ] || sed -n "s/^$1$tab//p" "$state"
}

# with_state KEY UNITS: these, and those of the state.
with_state()
{
	# shellcheck disable=SC2086 # words
	{ printf '%s\n' $2; of_state "$1"; } | awk 'NF && !seen[$0]++' | tr '\n' ' '
}

# write_state [UNIT]: what is stopped, with what an earlier run has stopped, and what is started.
write_state()
{
	{
		echo "# Written by rdsrv-migrate, for rdsrv-migrate --back."
		echo "from$tab$from"
		[ -z "$compose_file" ] || echo "compose$tab$compose_file"
		for unit in $active; do echo "active$tab$unit"; done
		for unit in $enabled; do echo "enabled$tab$unit"; done
		[ ! -f "$state" ] || grep -E "^(compose|active|enabled)$tab" "$state" || :
		[ $# -eq 0 ] || echo "new$tab$1"
	} | awk '!seen[$0]++' >"$state.$$"
	sync "$state.$$"
	mv "$state.$$" "$state"
}

# --- stopping and starting

# Its output goes to a file: docker would end where the terminal is gone.
compose_quietly()
{
	compose "$@" >"$scratch/why" 2>&1 || {
		say "docker compose $* of $compose_file failed: $(tail -n 3 "$scratch/why")"
		return 1
	}
}

stop_old()
{
	for unit in $enabled; do systemctl disable "$unit.service"; done
	for unit in $active; do systemctl stop "$unit.service"; done
	[ -z "$compose_file" ] || compose_quietly down
}

# start_units ENABLED ACTIVE: each is tried, also after one that fails.
start_units()
{
	failed=
	for unit in $1; do systemctl enable "$unit.service" || failed="$failed $unit"; done
	for unit in $2; do systemctl start "$unit.service" || failed="$failed $unit"; done
	for unit in $failed; do say "$unit.service did not start: see journalctl -u $unit"; done
	[ -z "$failed" ]
}

start_old()
{
	old=0
	start_units "$enabled" "$active" || old=1
	[ -z "$compose_file" ] || compose_quietly up -d || old=1
	return $old
}

look_for_ours()
{
	# shellcheck disable=SC2086 # words
	ours_enabled=$(those is_enabled $OURS) ours_active=$(those is_running $OURS)
}

stop_ours()
{
	for unit in $OURS; do
		! is_enabled "$unit" || systemctl disable "$unit.service"
		! is_running "$unit" || systemctl stop "$unit.service"
	done
}

start_ours()
{
	start_units "$ours_enabled" "$ours_active"
}

# Whatever went wrong, a lost terminal too: what ran before runs again.
undo()
{
	status=$?
	set +e
	trap - EXIT
	trap '' HUP INT TERM PIPE
	case $stopped in
	forth)
		status=1
		say "that failed: going back to what ran before"
		stop_ours
		rm -f "$target"/.*."$$" "$conf.$$" "$state.$$"
		if start_old; then
			restore_state
		else
			say "not all that ran before runs: correct that, then rdsrv-migrate --back"
		fi
		start_ours
		;;
	back)
		status=1
		say "that failed: rdsrv goes on"
		[ -z "$ours_active$ours_enabled" ] || stop_old
		start_ours
		;;
	esac
	rm -rf "$scratch"
	exit "$status"
}

restore_state()
{
	if [ -f "$scratch/state" ]; then
		cp "$scratch/state" "$state.$$" && mv "$state.$$" "$state"
	else
		rm -f "$state"
	fi
}

# From here on, whatever ends this script undoes what it did; a reader that is gone ends nothing.
begin()
{
	trap '' PIPE
	[ ! -f "$state" ] || cp "$state" "$scratch/state"
	stopped=$word
}

go_on()
{
	new=$(of_state new)
	say "rdsrv has taken over already, from $(of_state from)"
	[ -n "$dry_run" ] || { systemctl enable "$new.service" && start_units "" "$new"; }
}

forth()
{
	# shellcheck disable=SC2086 # words
	if [ -z "$given" ] && has_taken_over && [ -z "$(those is_running $OLD_UNITS)" ]; then
		go_on
		return
	fi
	look
	enabled=
	active=
	if [ -n "$id_unit$relay_unit" ]; then
		# shellcheck disable=SC2086 # words
		enabled=$(those is_enabled $OLD_UNITS) active=$(those is_running $OLD_UNITS)
	fi
	look_for_ours
	read_roles
	if ! has_taken_over; then
		# What an earlier run has stopped, but for which it started nothing.
		active=$(with_state active "$active")
		enabled=$(with_state enabled "$enabled")
	fi
	live=
	! is_live || live=yes
	newer=$live
	# shellcheck disable=SC2086 # words
	! has_taken_over || newer=$(those is_running $OLD_ID)
	if has_taken_over && [ -z "$live" ]; then
		go_on
		return
	fi
	[ ! -f "$state" ] || [ "$(of_state from)" = "$from" ] || die "rdsrv has taken over from" \
		"$(of_state from), not from $from: go back first, with rdsrv-migrate --back"
	if ! has_taken_over; then
		# The role of rdsrv's that hbbs and hbbr didn't have is part of what was there.
		for unit in $ours_active; do [ "$unit" = "$new" ] || active="$active$unit "; done
		for unit in $ours_enabled; do [ "$unit" = "$new" ] || enabled="$enabled$unit "; done
	fi
	public=$(public_key "$from")
	db=$(database)
	merge_settings
	check
	plan
	confirm
	(umask 022 && mkdir -p "${conf%/*}" "${target%/*}")
	begin
	write_state
	stop_ours
	stop_old
	[ -d "$target" ] || mkdir -m 700 "$target"
	chown "$owner" "$target"
	copy_files
	copy_database
	write_conf
	systemctl enable "$new.service"
	start_units "" "$new"
	write_state "$new"
	stopped=
	say "done: clients go on with the key they have; rdsrv-migrate --back returns to hbbs"
}

# --- and back

back()
{
	[ -f "$state" ] || die "there is nothing to go back to: rdsrv took over from no server here"
	from=$(of_state from)
	compose_file=$(of_state compose)
	enabled=$(of_state enabled | tr '\n' ' ')
	active=$(of_state active | tr '\n' ' ')
	active=${active:-$enabled}
	new=$(of_state new)
	look_for_ours
	[ -n "$active$compose_file" ] || die "nothing ran in $from before, and nothing would be" \
		"started: to stop rdsrv, say systemctl disable --now ${new:-rdsrv}"
	for unit in $active $enabled; do
		has_unit "$unit" || die "$unit.service is gone: install what it was part of first"
	done
	[ -d "$from" ] || die "$from is gone: there is nothing to go back to"
	[ "$(public_key "$from")" = "$(public_key "$target")" ] ||
		say "the key was changed since: clients that have only the new one are turned away"
	echo "Stops and disables rdsrv; starts $active$compose_file in $from again."
	echo "$target stays. Devices that came since register there by themselves."
	confirm
	begin
	stop_ours
	start_old
	stopped=
	rm -f "$state"
	say "done: what was there before runs again"
}

while [ $# -gt 0 ]; do
	case $1 in
	--yes) yes=yes ;;
	--dry-run) dry_run=yes ;;
	--back) word=back ;;
	--root)
		[ $# -gt 1 ] || wrong_use "--root needs a directory"
		root=$(cd "$2" && pwd -P)
		shift
		;;
	--help | -h)
		usage
		exit 0
		;;
	-*) wrong_use "there is no option $1; see --help" ;;
	*)
		[ -z "$given" ] || wrong_use "one directory or Compose file is enough"
		given=$1
		;;
	esac
	shift
done
[ -z "$given" ] || [ "$word" = forth ] || wrong_use "--back takes no directory"
[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || die "this needs root: run it with sudo"
rdsrv=$(command -v rdsrv) || die "rdsrv is not on PATH: install it first"
conf=$root/etc/rdsrv/rdsrv.conf
[ ! -L "$conf" ] || conf=$(readlink -f "$conf")
state=$root/etc/rdsrv/migrated-from
target=$root/var/lib/rdsrv
stopped=
scratch=$(mktemp -d)
trap undo EXIT
trap 'exit 1' HUP INT TERM PIPE
"$word"
