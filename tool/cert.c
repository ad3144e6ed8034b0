/* cert.c - `soquete cert`: a certificate to try TLS with: one that signs itself, a small CA, or
 * one that such a CA signs. What is made is said, and what to do with it next. */
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCAL	  "localhost 127.0.0.1 ::1"
#define DAYS	  90
#define CA_DAYS	  3650
#define DAYS_MAX  36500
#define DAY_NS	  (24 * 60 * 60 * SOQ_S)
#define STEM_MAX  200 /* bytes of a file's name before .pem */
#define NAMES_MAX 100

/* What a shell takes for nothing but itself, in a file's name. */
#define SAFE "._-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

struct values {
	const char *ca; /* what the CA to make is called, or NULL */
	const char *sign, *sign_key;
	const char *out, *key;
	unsigned days, rsa;
	bool client, force;
};

static const struct tool_option options[] = {
	{ "ca", 'c', OPTION_TEXT, offsetof(struct values, ca), "NAME",
		"make a CA called NAME, which signs others" },
	{ "sign", 's', OPTION_TEXT, offsetof(struct values, sign), "FILE",
		"let the CA of this certificate sign; default: it signs itself" },
	{ "sign-key", 0, OPTION_TEXT, offsetof(struct values, sign_key), "FILE",
		"the CA's key; default: FILE.key for FILE.pem, else in FILE itself" },
	{ "client", 0, OPTION_FLAG, offsetof(struct values, client), NULL,
		"for a client to show to a server, in place of the reverse" },
	{ "out", 'o', OPTION_TEXT, offsetof(struct values, out), "FILE",
		"write the certificate to FILE; default: the first name, .pem" },
	{ "key", 'k', OPTION_TEXT, offsetof(struct values, key), "FILE",
		"write the key to FILE; default: with the certificate; a CA's: .key" },
	{ "days", 'd', OPTION_COUNT, offsetof(struct values, days), "N",
		"valid for N days from now; default: 90; a CA: 3650" },
	{ "rsa", 0, OPTION_COUNT, offsetof(struct values, rsa), "BITS",
		"an RSA key of 2048 to 8192 bits; default: P-256" },
	{ "force", 'f', OPTION_FLAG, offsetof(struct values, force), NULL,
		"write files anew that exist already" },
	{ NULL },
};

/* What is made of the command line. */
struct plan {
	struct soq_certificate_options opt;
	char *names;	   /* of the certificate, separated by blanks; or the CA's */
	char *certificate; /* files */
	char *key;	   /* NULL: in the certificate's */
	char *ca_key;	   /* NULL: in the CA's certificate's */
};

static void plan_done(struct plan *plan)
{
	free(plan->names);
	free(plan->certificate);
	free(plan->key);
	free(plan->ca_key);
}

static int no_memory(void)
{
	tool_fail(tool_cert.name, "%s", soq_strerror(-ENOMEM));
	return TOOL_FAILED;
}

/* ---- names ---- */

/* The operands as one text. @return NULL: no memory */
static char *join(char **args)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (const char *before = ""; *args; args++, before = " ")
		fprintf(f, "%s%s", before, *args);
	return fclose(f) ? NULL : text;
}

/* A file's name for the first @len bytes of a name: nothing in it that a shell or a terminal
 * takes for something else. @return NULL: no memory */
static char *file_for(const char *name, size_t len)
{
	char *text;
	size_t n;

	if (len > STEM_MAX)
		len = STEM_MAX;
	if (asprintf(&text, "%.*s.pem", (int)len, name) < 0)
		return NULL;
	n = strspn(text, "._-");
	for (size_t i = 0; i < len; i++)
		if (i < n || !strchr(SAFE, text[i]))
			text[i] = '_';
	return text;
}

/* "Lab_CA.key" for "Lab_CA.pem", and "ca.crt.key" for "ca.crt". @return NULL: no memory */
static char *beside(const char *certificate, const char *ending)
{
	size_t len = strlen(certificate);
	char *text;

	if (len > 4 && !strcmp(certificate + len - 4, ".pem"))
		len -= 4;
	return asprintf(&text, "%.*s%s", (int)len, certificate, ending) < 0 ? NULL : text;
}

/* ---- the command line ---- */

static int check_operands(const struct values *v, char **args)
{
	size_t count = 0;

	for (; *args; args++, count++)
		if (!**args || strpbrk(*args, " \t\r\n"))
			return tool_usage(tool_cert.name,
				"'%s' is no name: each is a word of its own, as in 'soquete "
				"cert "
				"localhost 127.0.0.1'",
				*args);
	if (count > NAMES_MAX)
		return tool_usage(
			tool_cert.name, "%zu names: %d are possible", count, NAMES_MAX);
	if (v->client && !count)
		return tool_usage(tool_cert.name,
			"--client: who is it? As in 'soquete cert --client alice'");
	return TOOL_GO_ON;
}

static int check(const struct values *v, char **args)
{
	if (v->ca && *args)
		return tool_usage(tool_cert.name,
			"--ca makes a CA called '%s', which is for no host; for a certificate "
			"that "
			"a CA signs: 'soquete cert --sign CA.pem %s'",
			v->ca, *args);
	if (v->ca && v->client)
		return tool_usage(tool_cert.name, "--ca and --client exclude each other");
	if (v->sign_key && !v->sign)
		return tool_usage(tool_cert.name,
			"--sign-key is the key of the CA whose certificate --sign names");
	if (v->days > DAYS_MAX)
		return tool_usage(tool_cert.name, "--days: 1 to %d are possible", DAYS_MAX);
	if (v->rsa && (v->rsa < 2048 || v->rsa > 8192))
		return tool_usage(tool_cert.name, "--rsa: 2048 to 8192 bits are possible");
	return check_operands(v, args);
}

/* The CA's key is beside its certificate, as --ca puts it, or with it. */
static char *find_ca_key(const struct values *v)
{
	char *key = v->sign_key ? strdup(v->sign_key) : beside(v->sign, ".key");

	if (v->sign_key || !key || !access(key, F_OK))
		return key;
	free(key);
	return NULL;
}

static int plan_init(struct plan *plan, const struct values *v, char **args)
{
	plan->names = v->ca ? strdup(v->ca) : *args ? join(args) : strdup(LOCAL);
	if (!plan->names)
		return no_memory();
	plan->certificate = v->out
		? strdup(v->out)
		: file_for(plan->names, strcspn(plan->names, v->ca ? "" : " "));
	if (!plan->certificate)
		return no_memory();
	if (v->key)
		plan->key = strdup(v->key);
	else if (v->ca)
		plan->key = beside(plan->certificate, ".key");
	if (v->sign)
		plan->ca_key = find_ca_key(v);
	plan->opt = (struct soq_certificate_options){ .names = plan->names,
		.ca = v->ca,
		.client = v->client,
		.ca_certificate = v->sign,
		.ca_key = plan->ca_key,
		.rsa_bits = v->rsa,
		.lasts_ns = v->days * DAY_NS,
		.replace = v->force };
	return (v->key || v->ca) && !plan->key ? no_memory() : TOOL_GO_ON;
}

/* ---- what is said ---- */

/* Print @before and a file's name as a shell reads it. */
static void print_file(const char *before, const char *file)
{
	printf("%s%s", before, *file == '-' ? "./" : "");
	if (!file[strspn(file, "/" SAFE)]) {
		printf("%s", file);
		return;
	}
	putchar('\'');
	for (; *file; file++)
		printf(*file == '\'' ? "'\\''" : "%c", *file);
	putchar('\'');
}

/* The first name as an endpoint has it, with the port of `soquete serve https`. */
static void print_connect(const struct plan *plan, const char *ca)
{
	size_t len = strcspn(plan->names, " ");
	bool is_ipv6 = memchr(plan->names, ':', len);
	const char *star = plan->names[0] == '*' ? "www" : "";

	print_file("  soquete connect --ca ", ca);
	printf(" tls://%s%s%.*s%s:8443\n", is_ipv6 ? "[" : "", star, (int)(len - !!*star),
		plan->names + !!*star, is_ipv6 ? "]" : "");
}

/* "a, b and c" */
static void print_names(const char *names)
{
	while (*names) {
		size_t len = strcspn(names, " ");
		const char *next = names + len + strspn(names + len, " ");

		printf("%.*s%s", (int)len, names,
			!*next			    ? ""
				: strchr(next, ' ') ? ", "
						    : " and ");
		names = next;
	}
}

static void print_validity(const struct values *v)
{
	unsigned days = v->days ? v->days : v->ca ? CA_DAYS : DAYS;

	if (days % 365 == 0 && days > 365)
		printf(", for %u years", days / 365);
	else
		printf(", for %u day%s", days, days == 1 ? "" : "s");
	printf("%s\n", v->sign ? " or as long as the CA's" : "");
}

static void print_ca(const struct values *v, const struct plan *plan)
{
	printf("%s: the certificate of the CA '%s'", plan->certificate, plan->names);
	print_validity(v);
	printf("%s: its key, not encrypted: whoever has it can sign for any name\n\n"
	       "Who is given the certificate as a CA trusts all that the key signs. Keep the "
	       "key to\nyourself. Next:\n\n",
		plan->key);
	print_file("  soquete cert --sign ", plan->certificate);
	print_file("\n  soquete cert --client --sign ", plan->certificate);
	puts(" alice");
}

static void print_files(const struct values *v, const struct plan *plan)
{
	printf("%s: a %scertificate for ", plan->certificate, v->client ? "client's " : "");
	print_names(plan->names);
	if (v->sign)
		printf(", signed by %s", v->sign);
	if (!plan->key)
		printf(", and its key");
	print_validity(v);
	if (plan->key)
		printf("%s: its key\n", plan->key);
}

/* What to try next with it, as its owner. */
static void print_next(const struct values *v, const struct plan *plan)
{
	print_file(v->client ? "  soquete connect --cert " : "  soquete serve --cert ",
		plan->certificate);
	if (plan->key)
		print_file(" --key ", plan->key);
	if (v->client && v->sign)
		print_file(" --ca ", v->sign);
	puts(v->client ? " tls://localhost:8443" : " https");
	if (!v->client)
		print_connect(plan, v->sign ? v->sign : plan->certificate);
}

static void print_certificate(const struct values *v, const struct plan *plan)
{
	char *alone = beside(plan->certificate, ".crt");

	print_files(v, plan);
	printf("\n%s The key is not\nencrypted: keep it to yourself. Next:\n\n",
		v->sign ? "Who trusts the CA trusts it; nobody else does."
			: "It signs itself: nobody trusts it but who is given it as a CA.");
	print_next(v, plan);
	if (!plan->key && !v->sign && alone) {
		print_file("\nTo give it to others, without the key:\n\n  openssl x509 -in ",
			plan->certificate);
		print_file(" -out ", alone);
		putchar('\n');
	}
	free(alone);
}

/* ---- the command ---- */

static int complain(int rc)
{
	if (rc == -EEXIST)
		return tool_fail(NULL, "%s (--force writes it anew)", soq_last_error());
	tool_fail_library("make certificate", "", rc);
	return rc == -EINVAL ? TOOL_USAGE : TOOL_FAILED;
}

static int run(const struct tool_command *self, char **args)
{
	struct values v = { .ca = NULL };
	struct plan plan = { .names = NULL };
	int rc, status;

	if ((status = tool_parse(self, args, &v)) != TOOL_GO_ON ||
		(status = check(&v, args)) != TOOL_GO_ON)
		return status;
	status = plan_init(&plan, &v, args);
	if (status == TOOL_GO_ON) {
		rc = soq_make_certificate(plan.certificate, plan.key, &plan.opt);
		if (rc < 0)
			status = complain(rc);
		else if (v.ca)
			print_ca(&v, &plan);
		else
			print_certificate(&v, &plan);
	}
	plan_done(&plan);
	return status == TOOL_GO_ON ? tool_flush(self->name) : status;
}

const struct tool_command tool_cert = {
	.name = "cert",
	.operands = "[OPTION ...] [NAME ...]",
	.summary = "make a certificate to try TLS with",
	.text = "Make a key, and a certificate for the hosts' NAMES and addresses; without "
		"any, "
		"for\n"
		"localhost, 127.0.0.1 and ::1. It signs itself, unless --sign names a CA, "
		"which "
		"--ca\n"
		"makes. For trying things out: nobody trusts it but who is given it, or its "
		"CA's.\n",
	.options = options,
	.run = run,
};
