# SPDX-License-Identifier: MIT
# Goal: debian/changelog for one version, from what CHANGELOG.md (in the form of Keep a Changelog)
# says of it. -v version= maintainer= date=

BEGIN { n = 0 }

/^## / { ours = index($0, "[" version "]") || $2 == version; next }
/^\[.*\]:/ { next }
ours && /^[-*] / { entry[n++] = substr($0, 3); next }
ours && /^  / && n > 0 { sub(/^ +/, ""); entry[n - 1] = entry[n - 1] " " $0 }

# Lines of at most 78 columns.
function print_entry(text,    words, k, i, line)
{
	k = split(text, words, " ")
	line = "  *"
	for (i = 1; i <= k; i++) {
		if (length(line " " words[i]) > 78) {
			print line
			line = "   "
		}
		line = line " " words[i]
	}
	print line
}

END {
	if (n == 0)
		entry[n++] = "See the project's own history."
	print "rdsrv (" version ") unstable; urgency=medium\n"
	for (i = 0; i < n; i++)
		print_entry(entry[i])
	print "\n -- " maintainer "  " date
}
