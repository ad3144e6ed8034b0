/* http_page.c - what every page of the service's own looks like: readable on a phone and
 * on a desktop, light and dark, without scripts and without anything from elsewhere.
 */
#include "http.h"

#include <soquete/time.h>

#include "proto/escape.h"

/* Pages: the frame; errors: .code; listings: the table. Below 40rem a row becomes two
 * lines, the name above its size and date. */
static const char style[] =
	":root{color-scheme:light dark;--bg:#fbfaf8;--card:#fff;--ink:#1d2330;--soft:#667085;"
	"--line:#e7e4de;--link:#0b57d0;--hover:#f3f1ec}\n"
	"@media(prefers-color-scheme:dark){:root{--bg:#14161b;--card:#1b1e25;--ink:#e6e8ee;"
	"--soft:#98a1b3;--line:#2b303b;--link:#8ab4f8;--hover:#232731}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0;background:var(--bg);color:var(--ink);"
	"font:1rem/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}\n"
	"main{max-width:60rem;margin:0 auto;padding:2rem 1rem 3rem}\n"
	"a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}\n"
	"h1{font-size:1.5rem;line-height:1.25;margin:0 0 1.25rem;overflow-wrap:anywhere;"
	"font-weight:600}\n"
	"h1 .sep{color:var(--soft);font-weight:400;margin:0 .3rem}\n"
	".code{font-size:4rem;font-weight:700;line-height:1;color:var(--soft);margin:2rem 0 "
	".5rem}\n"
	".card{background:var(--card);border:1px solid var(--line);border-radius:.75rem;"
	"overflow:hidden}\n"
	"table{width:100%;border-collapse:collapse}\n"
	"th,td{padding:.55rem 1rem;text-align:left;vertical-align:middle}\n"
	"thead th{font-size:.8rem;font-weight:600;border-bottom:1px solid var(--line);"
	"white-space:nowrap}\n"
	"thead a{color:var(--soft)}th[aria-sort] a{color:var(--ink)}\n"
	"tbody tr+tr td{border-top:1px solid var(--line)}tbody "
	"tr:hover{background:var(--hover)}\n"
	".name{width:100%;overflow-wrap:anywhere}\n"
	"tbody .name a{display:flex;gap:.65rem;align-items:center;min-height:1.5rem}\n"
	".name svg{flex:none;width:1.15rem;height:1.15rem;fill:none;stroke:var(--soft);"
	"stroke-width:1.6;stroke-linejoin:round}\n"
	".name svg.d{fill:#f2b84b33;stroke:#d19a2a}\n"
	"td.size,td.date{white-space:nowrap;color:var(--soft);font-size:.875rem;"
	"font-variant-numeric:tabular-nums}.size{text-align:right}thead "
	".size{text-align:right}\n"
	"footer{color:var(--soft);font-size:.8rem;margin-top:1rem;display:flex;gap:1rem;"
	"justify-content:space-between;flex-wrap:wrap}\n"
	".empty{padding:2rem 1rem;text-align:center;color:var(--soft)}\n"
	".defs{position:absolute;width:0;height:0}\n"
	"@media(max-width:40rem){main{padding-top:1.25rem}h1{font-size:1.25rem}\n"
	"thead tr,tbody tr{display:flex;flex-wrap:wrap;padding:.5rem .9rem}\n"
	"thead th,tbody td,tbody tr+tr td{padding:0;border:0}thead th{padding-right:1.25rem}\n"
	"thead tr,tbody tr+tr{border-top:1px solid var(--line)}thead tr{border-top:0}\n"
	"tbody tr:first-child{border-top:1px solid var(--line)}\n"
	"thead .name{width:auto}tbody .name a{min-height:2rem}\n"
	"tbody .size{padding-left:1.8rem}tbody .size:empty{display:none}\n"
	"tbody .date:not(:empty){padding-left:1rem}\n"
	"tbody .size:empty+.date{padding-left:1.8rem}}\n";

int soq__http_nonce_init(struct soq__http_nonce *ret)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char random[sizeof ret->text / 2];
	int rc = soq_random(random, sizeof random);

	for (size_t i = 0; i < sizeof random; i++) {
		ret->text[2 * i] = digits[random[i] >> 4];
		ret->text[2 * i + 1] = digits[random[i] & 15];
	}
	ret->text[sizeof ret->text - 1] = '\0';
	return rc;
}

void soq__put_page_policy(struct soq__writer *w, const struct soq__http_nonce *nonce)
{
	soq__put_format(w,
		"Content-Security-Policy: default-src 'none'; style-src 'nonce-%s'; "
		"base-uri 'none'; form-action 'none'; frame-ancestors 'self'\r\n",
		nonce->text);
	soq__put_string(w, "Cache-Control: no-cache\r\n");
}

void soq__put_page_begin(
	struct soq__writer *w, const struct soq__http_nonce *nonce, struct soq__text title)
{
	soq__put_string(w,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		"<title>");
	soq__put_html(w, title);
	soq__put_format(w, "</title>\n<style nonce=\"%s\">\n", nonce->text);
	soq__put(w, style, sizeof style - 1);
	soq__put_string(w, "</style>\n</head>\n<body>\n<main>\n");
}

void soq__put_page_end(struct soq__writer *w)
{
	soq__put_string(w, "</main>\n</body>\n</html>\n");
}
