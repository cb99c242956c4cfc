#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the rules of the house hold: who may include what, headers that stand alone, no warning of
# any checker, one form of text. A check prints what is wrong; one that prints nothing is ok.
#
# usage: sh test/lint.sh [BUILD_DIR]   (the generated protobuf code is made there if need be)
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
failed=

# check NAME FUNCTION...
check()
{
	name=$1
	shift
	if "$@" >"$scratch/said" 2>&1 && [ ! -s "$scratch/said" ]; then
		echo "ok $name"
	else
		echo "FAIL $name"
		sed 's/^/     /' "$scratch/said"
		failed=yes
	fi
}

# Prints what grep finds; finding nothing is no failure.
find_lines()
{
	grep "$@" || [ $? -eq 1 ]
}

# --- who may include what

# The rooms, and whose headers each may include, besides its own.
rooms='core:
net:core
keys:core
conf:core
cmd:core|net|keys|conf'

# A header of others, and the only places that may include it.
third_parties='event2/ net/
openssl/ keys/|net/tls\.c
sodium keys/
wslay/ net/websocket\.c
cJSON\.h conf/|cmd/|keys/key(ring|_use)\.c|core/store_sqlite[_a-z]*\.[ch]
qrencode\.h conf/
sqlite3\.h core/store_sqlite[_a-z]*\.[ch]
pb[_.a-z]*h core/
rendezvous\.pb\.h core/'

# What the Makefile makes, in no room.
generated='commit\.h|rendezvous\.pb\.h|client\.[a-z0-9]+\.inc'

room_files=$(ls core/*.[ch] net/*.[ch] keys/*.[ch] conf/*.[ch] cmd/*.[ch] cmd/check/*.[ch])
test_files=$(find test -name '*.[ch]' | sort)

include_line='^[[:space:]]*#[[:space:]]*include'

includes()
{
	grep -HnE "$include_line" "$@"
}

check_rooms()
{
	echo "$rooms" | while IFS=: read -r room others; do
		find "$room" -name '*.[ch]' -exec grep -HnE "$include_line" {} + | grep '"' \
			>"$scratch/own" || continue
		find_lines -vE "\"($room${others:+|$others})/(check/)?[a-z0-9_]+\\.h\"|\"($generated)\"" \
			"$scratch/own"
	done
}

check_third_parties()
{
	# shellcheck disable=SC2086
	includes $room_files >"$scratch/all"
	echo "$third_parties" | while read -r header places; do
		find_lines -E "include[[:space:]]*[<\"]$header" "$scratch/all" |
			find_lines -vE "^($places)"
	done
}

# --- core is given times and bytes, and acts through callbacks

core_may_include='assert|ctype|errno|inttypes|limits|stdarg|stdbool|stddef|stdint|stdio|stdlib'
core_may_include="$core_may_include|string|strings|arpa/inet|netinet/in|pb|pb_common|pb_decode|pb_encode"
# struct tm and gmtime_r, which formats a time that it is given.
core_may_include="$core_may_include|time"

core_may_not_call='time|clock|clock_gettime|gettimeofday|nanosleep|usleep|sleep|localtime(_r)?
gmtime|open|openat|creat|close|read|pread|write|pwrite|lseek|stat|fstat|unlink|rename|fopen
fdopen|fread|fwrite|fclose|printf|fprintf|vfprintf|puts|fputs|perror|socket|bind|listen|accept4?
connect|send|sendto|sendmsg|sendmmsg|recv|recvfrom|recvmsg|recvmmsg|poll|select|epoll_[a-z]+
getaddrinfo|getnameinfo|getrandom|getentropy|arc4random[a-z_]*|s?rand|rand_r|s?random|getenv
pthread_[a-z_]+|signal|sigaction|fork|syslog'

core_files=$(find core -name '*.[ch]' -not -name 'store_sqlite*' | sort)

check_core_headers()
{
	# shellcheck disable=SC2086
	includes $core_files | find_lines '<' | find_lines -vE "<($core_may_include)\\.h>"
}

check_core_calls()
{
	names=$(echo "$core_may_not_call" | tr '\n' '|')
	for file in $core_files; do
		# Without comments and texts, in which any word may stand.
		sed 's://.*::; s/"\([^"\\]\|\\.\)*"/""/g' "$file" |
			find_lines -nE "(^|[^A-Za-z0-9_.>])(${names%|})[[:space:]]*\\(" |
			sed "s|^|$file:|"
	done | find_lines -v '^core/alloc\.c:.*fputs(.*stderr)' # its last words before abort()
}

# --- compilers and checkers

# The Makefile's flags, as a shell reads them: "flags_of RDS_CPPFLAGS".
flags_of()
{
	make -s --no-print-directory BUILD="$build" WERROR=1 \
		--eval "lint-flags: ; @: \$(info lint-flags \$($1))" lint-flags |
		sed -n 's/^lint-flags //p'
}

setup()
{
	make -s --no-print-directory BUILD="$build" generated &&
		cpp_flags=$(flags_of RDS_CPPFLAGS) && warn_flags="-std=c11 $(flags_of WARN)"
}

check_headers_alone()
{
	eval "set -- $cpp_flags $warn_flags"
	for header in */*.h cmd/check/*.h; do
		case $header in
		build*) continue ;;
		esac
		printf '#include "%s"\n' "$header" >"$scratch/alone.c"
		"$cc" "$@" -fsyntax-only "$scratch/alone.c" || echo "$header: not alone under $cc"
	done
}

# Unlike the rest they are built by no test.
check_benchmarks()
{
	eval "set -- $cpp_flags $warn_flags"
	for file in test/bench/*.c; do
		"$cc" "$@" -fsyntax-only "$file" || echo "$file: not clean under $cc"
	done
}

# Each file's findings go to a file of their own, since several run at once.
check_clang_tidy()
{
	cat >"$scratch/tidy.sh" <<END
out=$scratch/\$(echo "\$1" | tr / _).tidy
clang-tidy --quiet "\$1" -- $cpp_flags $warn_flags >"\$out" 2>"\$out.err" ||
	grep -v 'warnings.* generated' "\$out.err" >>"\$out"
END
	for file in $room_files $test_files; do
		[ "$file" = "${file%.c}" ] || echo "$file"
	done | xargs -P "$(nproc)" -n 1 sh "$scratch/tidy.sh" || true
	cat "$scratch"/*.tidy
}

check_cppcheck()
{
	# The system's headers are not read, so what is needed of them stands here.
	version=$(sed -n 's/^#if PB_PROTO_HEADER_VERSION != //p' "$build/gen/rendezvous.pb.h")
	eval "set -- $cpp_flags"
	for flag in "$@"; do
		case $flag in
		-I/*) ;;
		-D* | -I*) set -- "$@" "$flag" ;;
		esac
		shift
	done
	[ ! -f test/.cppcheck-suppressions ] ||
		set -- "$@" --suppressions-list=test/.cppcheck-suppressions
	cppcheck -q -j "$(nproc)" --std=c11 --enable=warning,performance,portability \
		--inline-suppr --error-exitcode=1 "$@" "-DPB_PROTO_HEADER_VERSION=$version" \
		'-DcJSON_ArrayForEach(item,array)=while((item)=next_of(array))' \
		core net keys conf cmd
}

check_shellcheck()
{
	find . -name '*.sh' -not -path './build*' -not -path './.git/*' >"$scratch/scripts"
	xargs shellcheck .ci/run <"$scratch/scripts"
}

check_mandoc()
{
	for page in man/*.[0-9]; do
		[ ! -f "$page" ] || mandoc -Tlint -W warning "$page"
	done
}

# --- the form of texts

check_licence()
{
	for file in $room_files $test_files; do
		head -n 1 "$file" | grep -qx '// SPDX-License-Identifier: MIT' ||
			echo "$file: the first line is not // SPDX-License-Identifier: MIT"
	done
}

check_length()
{
	# shellcheck disable=SC2086
	wc -l $room_files | awk '$2 != "total" && $1 > 420 { print $2 ": " $1 " lines" }'
	# shellcheck disable=SC2086
	wc -l $test_files | awk '$2 != "total" && $1 > 620 { print $2 ": " $1 " lines" }'
}

check_width()
{
	for file in $room_files $test_files; do
		expand -t 8 "$file" | awk -v file="$file" '
			length > 100 { print file ":" NR ": " length " columns" }'
	done
}

# Spaces line up what goes on from the line above; they don't indent.
check_tabs()
{
	# shellcheck disable=SC2086
	awk '
		FNR == 1 { last = ";" }
		/^\t* +\t/ { print FILENAME ":" FNR ": a tab behind spaces" }
		{ code = $0; sub(/[ \t]*\/\/.*/, "", code); sub(/[ \t]+$/, "", code) }
		code == "" { next }
		code ~ /^\t* / && last !~ /^\t*( |for \()/ && last ~ /([;}]|^{|\) {|(else|do) {)$/ {
			print FILENAME ":" FNR ": indented with spaces"
		}
		{ last = code }
	' $room_files $test_files
}

check_white_space()
{
	find . \( -name .git -o -name 'build*' -o -name data -o -name __pycache__ \) -prune -o -type f \
		\( -name '*.[ch1578]' -o -name '*.awk' -o -name '*.sh' -o -name '*.py' -o -name '*.md' -o -name '*.mk' \
		-o -name '*.proto' -o -name '*.options' -o -name Makefile -o -name '.cl*' \) \
		-exec grep -nE '[[:space:]]+$' /dev/null {} + || true
}

check 'rooms include only what they may' check_rooms
check 'third-party headers in their rooms' check_third_parties
check 'headers that core includes' check_core_headers
check 'calls that core makes' check_core_calls
check 'licence lines' check_licence
check 'length of files' check_length
check 'width of lines' check_width
check 'tabs' check_tabs
check 'white space at line ends' check_white_space
check 'shellcheck' check_shellcheck
check 'mandoc' check_mandoc
check 'generated code and flags' setup
if [ -n "${cpp_flags:-}" ]; then
	cc=gcc
	check 'headers alone, gcc' check_headers_alone
	check 'benchmarks, gcc' check_benchmarks
	cc=clang
	check 'headers alone, clang' check_headers_alone
	check 'benchmarks, clang' check_benchmarks
	check 'cppcheck' check_cppcheck
	check 'clang-tidy' check_clang_tidy
fi
[ -z "$failed" ]
