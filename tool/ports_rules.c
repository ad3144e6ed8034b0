/* ports_rules.c - what this machine has set about ports: who may bind which, and where those
 * of clients are taken from. Source: ip(7). */
#include "ports.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

/* Read @count numbers 0 to 65535 that stand in a line of text. @return false when there are
 * not so many, or anything else */
static bool parse_numbers(const char *text, uint64_t *ret, size_t count)
{
	uint64_t numbers[2];

	for (size_t i = 0; i < count; i++) {
		char word[8];
		size_t len;

		text += strspn(text, " \t");
		len = strspn(text, "0123456789");
		if (len >= sizeof(word))
			return false;
		memcpy(word, text, len);
		word[len] = '\0';
		if (!tool_number(word, 0, UINT16_MAX, &numbers[i]))
			return false;
		text += len;
	}
	if (text[strspn(text, " \t\n")])
		return false;
	memcpy(ret, numbers, count * sizeof(*ret));
	return true;
}

static bool read_numbers(const char *path, uint64_t *ret, size_t count)
{
	FILE *f = fopen(path, "re");
	char line[64];
	bool ok;

	if (!f)
		return false;
	ok = fgets(line, sizeof(line), f) && parse_numbers(line, ret, count);
	fclose(f);
	return ok;
}

struct tool_port_rules tool_port_rules_read(void)
{
	struct tool_port_rules rules = { .start_is_default = false };
	uint64_t start = 1024, range[2] = { 32768, 60999 };

	rules.start_is_default =
		!read_numbers("/proc/sys/net/ipv4/ip_unprivileged_port_start", &start, 1);
	rules.local_is_default =
		!read_numbers("/proc/sys/net/ipv4/ip_local_port_range", range, 2);
	rules.unprivileged_start = (uint16_t)start;
	rules.local_low = (uint16_t)range[0];
	rules.local_high = (uint16_t)range[1];
	return rules;
}
