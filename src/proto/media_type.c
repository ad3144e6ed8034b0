/* media_type.c - a table of file name extensions.
 *
 * Source: the IANA media types registry, RFC 9239 (JavaScript), RFC 7763 (Markdown); text
 * whose registered type a browser would only download is text/plain.
 */
#include "media_type.h"

#include <stdlib.h>
#include <string.h>

#define PLAIN "text/plain; charset=utf-8"

struct row {
	const char *extension;
	const char *type;
};

/* Sorted, for bsearch(3). */
static const struct row extensions[] = {
	{ "7z", "application/x-7z-compressed" },
	{ "aac", "audio/aac" },
	{ "apng", "image/apng" },
	{ "asc", PLAIN },
	{ "avif", "image/avif" },
	{ "bash", PLAIN },
	{ "bmp", "image/bmp" },
	{ "bz2", "application/x-bzip2" },
	{ "c", PLAIN },
	{ "cc", PLAIN },
	{ "cfg", PLAIN },
	{ "conf", PLAIN },
	{ "cpp", PLAIN },
	{ "css", "text/css; charset=utf-8" },
	{ "csv", "text/csv; charset=utf-8" },
	{ "deb", "application/vnd.debian.binary-package" },
	{ "diff", PLAIN },
	{ "doc", "application/msword" },
	{ "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
	{ "eot", "application/vnd.ms-fontobject" },
	{ "epub", "application/epub+zip" },
	{ "flac", "audio/flac" },
	{ "gif", "image/gif" },
	{ "go", PLAIN },
	{ "gz", "application/gzip" },
	{ "h", PLAIN },
	{ "heic", "image/heic" },
	{ "hpp", PLAIN },
	{ "htm", "text/html; charset=utf-8" },
	{ "html", "text/html; charset=utf-8" },
	{ "ico", "image/vnd.microsoft.icon" },
	{ "ics", "text/calendar; charset=utf-8" },
	{ "ini", PLAIN },
	{ "jar", "application/java-archive" },
	{ "java", PLAIN },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", "text/javascript; charset=utf-8" },
	{ "json", "application/json" },
	{ "jsonld", "application/ld+json" },
	{ "jxl", "image/jxl" },
	{ "log", PLAIN },
	{ "lz", "application/lzip" },
	{ "m3u8", "application/vnd.apple.mpegurl" },
	{ "m4a", "audio/mp4" },
	{ "m4v", "video/mp4" },
	{ "map", "application/json" },
	{ "md", "text/markdown; charset=utf-8" },
	{ "mid", "audio/midi" },
	{ "mjs", "text/javascript; charset=utf-8" },
	{ "mkv", "video/x-matroska" },
	{ "mov", "video/quicktime" },
	{ "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" },
	{ "mpeg", "video/mpeg" },
	{ "odp", "application/vnd.oasis.opendocument.presentation" },
	{ "ods", "application/vnd.oasis.opendocument.spreadsheet" },
	{ "odt", "application/vnd.oasis.opendocument.text" },
	{ "oga", "audio/ogg" },
	{ "ogg", "audio/ogg" },
	{ "ogv", "video/ogg" },
	{ "opus", "audio/ogg" },
	{ "otf", "font/otf" },
	{ "patch", PLAIN },
	{ "pdf", "application/pdf" },
	{ "pem", PLAIN },
	{ "pl", PLAIN },
	{ "png", "image/png" },
	{ "ppt", "application/vnd.ms-powerpoint" },
	{ "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
	{ "ps", "application/postscript" },
	{ "py", PLAIN },
	{ "rar", "application/vnd.rar" },
	{ "rb", PLAIN },
	{ "rs", PLAIN },
	{ "rst", PLAIN },
	{ "rtf", "application/rtf" },
	{ "sh", PLAIN },
	{ "sql", PLAIN },
	{ "srt", PLAIN },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "tex", PLAIN },
	{ "tgz", "application/gzip" },
	{ "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "toml", PLAIN },
	{ "ts", "video/mp2t" },
	{ "tsv", "text/tab-separated-values; charset=utf-8" },
	{ "ttf", "font/ttf" },
	{ "txt", PLAIN },
	{ "vtt", "text/vtt; charset=utf-8" },
	{ "wasm", "application/wasm" },
	{ "wav", "audio/wav" },
	{ "weba", "audio/webm" },
	{ "webm", "video/webm" },
	{ "webmanifest", "application/manifest+json" },
	{ "webp", "image/webp" },
	{ "woff", "font/woff" },
	{ "woff2", "font/woff2" },
	{ "xhtml", "application/xhtml+xml" },
	{ "xls", "application/vnd.ms-excel" },
	{ "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
	{ "xml", "application/xml" },
	{ "xz", "application/x-xz" },
	{ "yaml", PLAIN },
	{ "yml", PLAIN },
	{ "zip", "application/zip" },
	{ "zst", "application/zstd" },
};

/* Names that people give to text without an extension. */
static const char *const text_names[] = {
	"AUTHORS",
	"CHANGELOG",
	"ChangeLog",
	"COPYING",
	"Dockerfile",
	"HACKING",
	"INSTALL",
	"LICENSE",
	"Makefile",
	"NEWS",
	"README",
	"TODO",
};

static int compare(const void *key, const void *row)
{
	return strcmp(key, ((const struct row *)row)->extension);
}

static const char *of_extension(struct soq__text extension)
{
	char key[16] = "";
	const struct row *row;

	if (extension.len >= sizeof key)
		return NULL;
	for (size_t i = 0; i < extension.len; i++) {
		char c = extension.at[i];

		key[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
	row = bsearch(key, extensions, sizeof extensions / sizeof extensions[0],
		sizeof extensions[0], compare);
	return row ? row->type : NULL;
}

const char *soq__media_type(struct soq__text name)
{
	const char *dot = name.len > 0 ? memrchr(name.at, '.', name.len) : NULL;
	const char *type = NULL;

	if (dot)
		type = of_extension(soq__text_from(name, (size_t)(dot - name.at) + 1));
	for (size_t i = 0; !dot && !type && i < sizeof text_names / sizeof text_names[0]; i++)
		if (soq__text_equal(name, soq__text_of(text_names[i])))
			type = PLAIN;
	return type ? type : "application/octet-stream";
}
