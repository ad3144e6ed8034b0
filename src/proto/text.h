/* text.h - a run of bytes inside someone else's buffer, as parsers hand it out.
 *
 * Never NUL-terminated; it lives as long as the buffer does.
 */
#ifndef SOQ__PROTO_TEXT_H
#define SOQ__PROTO_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct soq__text {
	const char *at;
	size_t len;
};

#define SOQ__TEXT(literal) ((struct soq__text){ (literal), sizeof(literal) - 1 })

struct soq__text soq__text_of(const char *string);
bool soq__text_equal(struct soq__text a, struct soq__text b);

/* Equal but for the case of ASCII letters. */
bool soq__text_equal_nocase(struct soq__text a, struct soq__text b);
bool soq__text_starts_nocase(struct soq__text t, struct soq__text prefix);

/* Without the spaces and tabs at both ends (RFC 9110 section 5.6.3, OWS). */
struct soq__text soq__text_trim(struct soq__text t);

/* The text from its @skip-th byte on; @skip is at most its length. */
struct soq__text soq__text_from(struct soq__text t, size_t skip);

/**
 * Take the next item off a comma-separated list, trimmed, perhaps empty:
 * "a, ,b" is "a", "", "b", and "" is one empty item.
 *
 * @rest  what is left; its @at is NULL once the last item was taken
 * @return false when there was none left
 */
bool soq__text_next_item(struct soq__text *rest, struct soq__text *ret);

/**
 * A number of decimal digits only: no sign, no space, at least one digit.
 * @return 0; -EINVAL; -ERANGE above UINT64_MAX
 */
int soq__text_to_u64(struct soq__text t, uint64_t *ret);

/* The value of a hexadecimal digit, or -1. */
int soq__hex_digit(char c);

/* RFC 9110 section 5.6.2: what methods and field names are made of. */
bool soq__is_token(struct soq__text t);

#endif
