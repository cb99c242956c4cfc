#!/bin/sh
# RustDesk clients on this machine (Linux or macOS) use the server below: this user's, and if root
# runs it those of all users and the service. What is right already is left alone, and so are other
# settings. Written by rdsrv export-conf.
#
# usage: sh FILE [-n] [-u]
#   -n  only say what would be changed
#   -u  this user's alone, also if root runs it
set -eu

settings()
{
	cat <<'END'
@SETTINGS@
END
}

config_file()
{
	case $(uname) in
	Darwin) echo "$HOME/Library/Preferences/com.carriez.RustDesk/RustDesk2.toml" ;;
	*) echo "${XDG_CONFIG_HOME:-$HOME/.config}/rustdesk/RustDesk2.toml" ;;
	esac
}

# merged FILE: as it is to be.
merged()
{
	settings | awk '
		function name(line) {
			sub(/^[ \t]*/, "", line)
			sub(/[ \t]*=.*/, "", line)
			return line
		}
		NR == FNR && /^\[options\]/ { behind = 1; next }
		NR == FNR && behind { options = options $0 "\n"; next }
		NR == FNR { if (/=/) top = $0 "\n"; next }
		!begun { printf "%s", top; begun = 1 }
		/^[ \t]*\[/ {
			table = $0
			sub(/#.*/, "", table)
			gsub(/[ \t\r]/, "", table)
			print
			if (table == "[options]") {
				printf "%s", options
				done = 1
			}
			next
		}
		table == "" && name($0) == "rendezvous_server" { next }
		table == "[options]" &&
			name($0) ~ /^(custom-rendezvous-server|relay-server|api-server|key)$/ { next }
		{ print }
		END {
			if (!begun)
				printf "%s\n", top
			if (!done)
				printf "[options]\n%s", options
		}' - "$1"
}

# This user's file.
one_user()
{
	file=$(config_file)
	old=$file
	[ -f "$file" ] || old=/dev/null
	if grep -q -e "'''" -e '"""' "$old"; then
		echo "$file: holds texts of several lines, which this script can't handle" >&2
		return 1
	fi
	merged "$old" >"$scratch"
	if cmp -s "$old" "$scratch"; then
		echo "$file: right already"
	elif [ -n "$dry" ]; then
		echo "$file: would be changed"
	else
		mkdir -p "${file%/*}"
		new=$(mktemp "$file.XXXXXX")
		# Owner and mode of the old one.
		[ ! -f "$file" ] || cp -p "$file" "$new"
		cat "$scratch" >"$new"
		mv -f "$new" "$file"
		echo "$file: changed"
	fi
}

# Lines "USER HOME", first root, as whom the service runs.
people()
{
	if [ "$(uname)" = Darwin ]; then
		echo root /var/root
		dscl . -list /Users UniqueID | awk '$2 > 500 { print $1 }' | while read -r user; do
			echo "$user $(dscl . -read "/Users/$user" NFSHomeDirectory |
				sed -n 's/^NFSHomeDirectory: *//p')"
		done
	else
		getent passwd | awk -F: '
			$3 == 0 && !root++ || $3 >= 1000 && $3 < 65000 { print $1, $6 }'
	fi
}

# as_user USER HOME [-n]: this script again, since root must not write where others make the links.
as_user()
{
	user=$1
	home=$2
	shift 2
	if command -v runuser >/dev/null; then
		runuser -u "$user" -- env -u XDG_CONFIG_HOME HOME="$home" sh -s -- -u "$@" <"$0"
	else
		# shellcheck disable=SC2024 # root opens the script for them
		sudo -u "$user" env -u XDG_CONFIG_HOME HOME="$home" sh -s -- -u "$@" <"$0"
	fi
}

everybody()
{
	people | {
		status=0
		while read -r user home; do
			[ ! -d "$home" ] || as_user "$user" "$home" "$@" || status=1
		done
		exit "$status"
	}
}

service()
{
	plist=/Library/LaunchDaemons/com.carriez.RustDesk_service.plist
	if [ -f "$plist" ]; then
		case $1 in
		runs) launchctl list com.carriez.RustDesk_service >/dev/null 2>&1 ;;
		stop) launchctl unload "$plist" ;;
		start) launchctl load "$plist" ;;
		esac
	elif command -v systemctl >/dev/null; then
		case $1 in
		runs) systemctl -q is-active rustdesk ;;
		*) systemctl "$1" rustdesk ;;
		esac
	else
		return 1
	fi
}

dry=
alone=
while getopts nu option; do
	case $option in
	n) dry=-n ;;
	u) alone=yes ;;
	*) exit 2 ;;
	esac
done

if [ -n "$alone" ] || [ "$(id -u)" -ne 0 ]; then
	scratch=$(mktemp)
	trap 'rm -f "$scratch"' EXIT
	one_user
	exit
fi
[ -f "$0" ] || {
	echo 'save this script to a file, and run that' >&2
	exit 2
}
if [ -n "$dry" ] || ! everybody -n | grep 'would be changed$' >/dev/null; then
	everybody -n
elif service runs; then
	# A service that runs would write its old settings when it ends.
	service stop
	trap 'service start' EXIT
	everybody
else
	everybody
fi
