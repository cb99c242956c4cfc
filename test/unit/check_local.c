// SPDX-License-Identifier: MIT
// Goal: what the kernel and systemd say of processes, sockets, disks and units is read right.
#include "cmd/check/disk.h"
#include "cmd/check/local.h"
#include "cmd/check/lookup.h"
#include "cmd/check/tailscale.h"
#include "cmd/check/tool.h"
#include "testing.h"

#include <stdlib.h>
#include <string.h>

static void socket_is(const char *line, bool udp, const char *addr, uint64_t inode, unsigned uid,
                      bool listening)
{
	struct check_socket got;
	bool listens = false;
	char text[RDS_ADDR_TEXT];
	assert_true(check_socket_parse(line, udp, &got, &listens));
	rds_addr_format(&got.at, text);
	assert_string_equal(text, addr);
	assert_int_equal(got.inode, inode);
	assert_int_equal(got.uid, uid);
	assert_int_equal(listens, listening);
}

static void sockets(void **state)
{
	(void)state;
	struct check_socket got;
	bool listens = false;
	if (*(const uint8_t *)&(const uint16_t){1} != 1)
		skip(); // the samples are of a little-endian machine
	socket_is("   0: 0100007F:527C 00000000:0000 0A 00000000:00000000 00:00000000 00000000   "
	          "997        0 12345 1 0000000000000000 100 0 0 10 0\n",
	          false, "127.0.0.1:21116", 12345, 997, true);
	socket_is("   1: 0100007F:527C 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     "
	          "0        0 99 1 0000000000000000 20 4 30 10 -1\n",
	          false, "127.0.0.1:21116", 99, 0, false);
	socket_is(" 1234: 00000000000000000000000000000000:527C "
	          "00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 "
	          "  0        0 777 2 0000000000000000 0\n",
	          true, "[::]:21116", 777, 0, true);
	socket_is("   2: B80D0120000000000000000001000000:0050 "
	          "00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 "
	          "  0        0 7 1 0000000000000000 100 0 0 10 0\n",
	          false, "[2001:db8::1]:80", 7, 0, true);
	assert_false(check_socket_parse("  sl  local_address rem_address   st tx_queue", false,
	                                &got, &listens));
	assert_false(check_socket_parse("", false, &got, &listens));
	assert_false(check_socket_parse("   0: 01007F:527C 00000000:0000 0A 0:0 0:0 0 0 0 1", false,
	                                &got, &listens));
}

static void units_of_processes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *unit;
	} rows[] = {
	        {"0::/system.slice/rdsrv-id.service\n", "rdsrv-id.service"},
	        {"0::/system.slice/system-rdsrv.slice/rdsrv@a.service\n", "rdsrv@a.service"},
	        {"12:pids:/system.slice/hbbs.service\n1:name=systemd:/system.slice/hbbs.service\n",
	         "hbbs.service"},
	        {"0::/user.slice/user-0.slice/session-1.scope\n", ""},
	        {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope\n", ""},
	        {"0::/\n", ""},
	        {"", ""},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		char unit[128];
		assert_string_equal(check_unit_of_cgroup(rows[i].text, unit, sizeof unit),
		                    rows[i].unit);
	}
}

static void units(void **state)
{
	(void)state;
	struct local_unit got[4];
	static const char text[] = "User=\nResult=success\nExecMainStatus=0\nId=rdsrv.service\n"
	                           "LoadState=not-found\nActiveState=inactive\nSubState=dead\n"
	                           "UnitFileState=\n\n"
	                           "User=rdsrv\nResult=exit-code\nExecMainStatus=1\n"
	                           "Id=rdsrv-id.service\nLoadState=loaded\nActiveState=failed\n"
	                           "SubState=failed\nUnitFileState=enabled\nMainPID=77\n";
	assert_int_equal(local_units_parse(text, got, 4), 2);
	assert_false(got[0].is_there);
	assert_true(got[1].is_there);
	assert_string_equal(got[1].id, "rdsrv-id.service");
	assert_string_equal(got[1].active, "failed");
	assert_string_equal(got[1].user, "rdsrv");
	assert_int_equal(got[1].exit_status, 1);
	assert_int_equal(got[1].main_pid, 77);
	assert_int_equal(local_units_parse(text, got, 1), 1);
	assert_int_equal(local_units_parse("\n\n", got, 4), 0);
}

static void disks(void **state)
{
	(void)state;
	static const char text[] =
	        "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro\n"
	        "30 21 0:26 / /var/lib rw,nosuid - nfs4 srv:/lib rw,vers=4.2\n"
	        "31 30 0:27 / /var/lib/rdsrv\\040two ro,relatime - tmpfs t rw,size=1024k\n"
	        "32 30 0:28 / /mnt/ro rw,relatime - ext4 /dev/vdb ro\n"
	        "nonsense\n";
	struct check_disk disk = {.read_only = false};
	assert_true(check_disk_parse(text, "/var/lib/rdsrv", &disk));
	assert_string_equal(disk.type, "nfs4");
	assert_true(check_disk_is_remote(disk.type));
	assert_true(check_disk_parse(text, "/var/lib/rdsrv two/x", &disk));
	assert_string_equal(disk.mount, "/var/lib/rdsrv two");
	assert_true(disk.read_only && disk.mount_read_only);
	assert_true(check_disk_parse(text, "/mnt/ro", &disk));
	assert_true(disk.read_only && !disk.mount_read_only);
	assert_true(check_disk_parse(text, "/var/library", &disk));
	assert_string_equal(disk.mount, "/");
	assert_false(disk.read_only);
	assert_false(check_disk_is_remote("ext4"));
	assert_false(check_disk_is_remote("fuseblk"));
	assert_true(check_disk_is_remote("fuse.sshfs"));
	assert_true(check_disk_is_remote("9p"));
	assert_false(check_disk_parse("", "/", &disk));
}

static void tailnets(void **state)
{
	(void)state;
	struct check_tailnet net;
	assert_true(check_tailnet_parse(
	        "{\"BackendState\":\"Running\",\"Self\":{\"DNSName\":\"desk.tail1234.ts.net.\","
	        "\"TailscaleIPs\":[\"100.101.102.103\",\"fd7a:115c:a1e0::1\",7]},\"Peer\":{}}",
	        &net));
	assert_string_equal(net.name, "desk.tail1234.ts.net");
	assert_int_equal(net.n_ips, 2);
	assert_true(check_tailnet_parse("{\"BackendState\":\"NeedsLogin\",\"Self\":null}", &net));
	assert_string_equal(net.state, "NeedsLogin");
	assert_string_equal(net.name, "");
	assert_false(check_tailnet_parse("failed to connect to local tailscaled", &net));
}

static void reaches(void **state)
{
	(void)state;
	static const struct {
		const char *ip;
		enum check_reach reach;
	} rows[] = {{"8.8.8.8", CHECK_REACH_PUBLIC},     {"2a00::1", CHECK_REACH_PUBLIC},
	            {"10.1.2.3", CHECK_REACH_PRIVATE},   {"172.31.0.1", CHECK_REACH_PRIVATE},
	            {"172.32.0.1", CHECK_REACH_PUBLIC},  {"192.168.7.7", CHECK_REACH_PRIVATE},
	            {"fd00::1", CHECK_REACH_PRIVATE},    {"100.64.0.1", CHECK_REACH_TAILNET},
	            {"100.128.0.1", CHECK_REACH_PUBLIC}, {"fd7a:115c:a1e0::5", CHECK_REACH_TAILNET},
	            {"169.254.1.1", CHECK_REACH_LINK},   {"fe80::1", CHECK_REACH_LINK},
	            {"127.0.1.1", CHECK_REACH_LOOPBACK}, {"::1", CHECK_REACH_LOOPBACK},
	            {"0.0.0.0", CHECK_REACH_NOWHERE},    {"::", CHECK_REACH_NOWHERE}};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rds_ip ip;
		assert_int_equal(rds_ip_parse(rows[i].ip, &ip), 0);
		if (check_reach_of(&ip) != rows[i].reach)
			fail_msg("%s: %d", rows[i].ip, check_reach_of(&ip));
	}
}

static void quotes(void **state)
{
	(void)state;
	static const char *const rows[][2] = {{"/var/lib/rdsrv", "/var/lib/rdsrv"},
	                                      {"/a b", "'/a b'"},
	                                      {"", "''"},
	                                      {"it's", "'it'\\''s'"},
	                                      {"$(x);`y`", "'$(x);`y`'"}};
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *got = local_quote(rows[i][0]);
		assert_string_equal(got, rows[i][1]);
		free(got);
	}
}

static void tools(void **state)
{
	(void)state;
	struct check_tool tool;
	check_tool_run((const char *const[]){"sh", "-c", "echo $LC_ALL; exit 3", NULL}, 60000,
	               &tool);
	assert_int_equal(tool.end, CHECK_TOOL_ENDED);
	assert_int_equal(tool.code, 3);
	assert_string_equal(tool.out, "C\n");
	assert_false(check_tool_is_good(&tool));
	check_tool_clear(&tool);
	check_tool_run((const char *const[]){"rdsrv-no-such-program", NULL}, 5000, &tool);
	assert_int_equal(tool.end, CHECK_TOOL_ABSENT);
	assert_string_equal(tool.out, "");
	check_tool_clear(&tool);
	check_tool_run((const char *const[]){"sleep", "100", NULL}, 50, &tool);
	assert_int_equal(tool.end, CHECK_TOOL_HUNG);
	check_tool_clear(&tool);
	// One that hangs with its output closed.
	check_tool_run((const char *const[]){"sh", "-c", "exec >/dev/null; sleep 100", NULL}, 50,
	               &tool);
	assert_int_equal(tool.end, CHECK_TOOL_HUNG);
	check_tool_clear(&tool);
	check_tool_run((const char *const[]){"head", "-c", "20000000", "/dev/zero", NULL}, 60000,
	               &tool);
	assert_int_equal(tool.end, CHECK_TOOL_ENDED);
	assert_true(tool.truncated && tool.len <= CHECK_TOOL_MAX_BYTES);
	check_tool_clear(&tool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sockets),  cmocka_unit_test(units_of_processes),
	        cmocka_unit_test(units),    cmocka_unit_test(disks),
	        cmocka_unit_test(tailnets), cmocka_unit_test(reaches),
	        cmocka_unit_test(quotes),   cmocka_unit_test(tools),
	};
	return cmocka_run_group_tests_name("check_local", tests, NULL, NULL);
}
