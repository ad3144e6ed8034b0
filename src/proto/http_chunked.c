/* http_chunked.c - a machine that takes the framing byte by byte, the data in runs. */
#include "http_chunked.h"

void soq__http_chunked_init(struct soq__http_chunked *c)
{
	*c = (struct soq__http_chunked){ .state = SOQ__CHUNK_SIZE_FIRST };
}

static int refuse(struct soq__http_chunked *c, int status, const char *problem)
{
	c->problem = problem;
	return status;
}

static int go(struct soq__http_chunked *c, enum soq__http_chunked_state state)
{
	c->state = state;
	return SOQ__CHUNKED_MORE;
}

/* A byte of an extension or of a trailer field. */
static int take_extra(struct soq__http_chunked *c, char byte)
{
	if ((unsigned char)byte < 0x20 ? byte != '\t' : byte == 0x7f)
		return refuse(c, 400, "the body's framing has a control character");
	if (++c->extras > SOQ__HTTP_EXTRAS_MAX)
		return refuse(c, 413, "the body's extensions or trailers are too long");
	return SOQ__CHUNKED_MORE;
}

static int take_size(struct soq__http_chunked *c, char byte)
{
	int digit = soq__hex_digit(byte);

	if (digit >= 0) {
		if (++c->digits > 16 || c->left > INT64_MAX / 16)
			return refuse(c, 413, "a chunk is too long");
		c->left = c->left * 16 + (unsigned)digit;
		return go(c, SOQ__CHUNK_SIZE);
	}
	c->digits = 0;
	if (c->state == SOQ__CHUNK_SIZE && byte == '\r')
		return go(c, SOQ__CHUNK_SIZE_LF);
	if (c->state == SOQ__CHUNK_SIZE && byte == ';')
		return go(c, SOQ__CHUNK_EXTENSION);
	return refuse(c, 400, "a chunk's size is not a hexadecimal number");
}

/* A trailer field, whose name must be one; its meaning is ignored. */
static int take_trailer(struct soq__http_chunked *c, char byte)
{
	bool is_name = c->state != SOQ__CHUNK_TRAILER_VALUE;

	if (byte == '\r' && c->state == SOQ__CHUNK_TRAILER_FIRST)
		return go(c, SOQ__CHUNK_END_LF);
	if (byte == '\r' && !is_name)
		return go(c, SOQ__CHUNK_TRAILER_LF);
	if (byte == ':' && c->state == SOQ__CHUNK_TRAILER_NAME)
		c->state = SOQ__CHUNK_TRAILER_VALUE;
	else if (is_name && !soq__is_token((struct soq__text){ &byte, 1 }))
		return refuse(
			c, 400, "a trailer field's name has a byte that no name may have");
	else if (is_name)
		c->state = SOQ__CHUNK_TRAILER_NAME;
	return take_extra(c, byte);
}

static int expect(
	struct soq__http_chunked *c, char byte, char want, enum soq__http_chunked_state next)
{
	if (byte != want)
		return refuse(
			c, 400, "the body's framing has a line that does not end in CRLF");
	return go(c, next);
}

static int take(struct soq__http_chunked *c, char byte)
{
	switch (c->state) {
	case SOQ__CHUNK_SIZE_FIRST:
	case SOQ__CHUNK_SIZE:
		return take_size(c, byte);
	case SOQ__CHUNK_EXTENSION:
		return byte == '\r' ? go(c, SOQ__CHUNK_SIZE_LF) : take_extra(c, byte);
	case SOQ__CHUNK_SIZE_LF:
		return expect(c, byte, '\n',
			c->left > 0 ? SOQ__CHUNK_DATA : SOQ__CHUNK_TRAILER_FIRST);
	case SOQ__CHUNK_DATA_CR:
		return expect(c, byte, '\r', SOQ__CHUNK_DATA_LF);
	case SOQ__CHUNK_DATA_LF:
		return expect(c, byte, '\n', SOQ__CHUNK_SIZE_FIRST);
	case SOQ__CHUNK_TRAILER_LF:
		return expect(c, byte, '\n', SOQ__CHUNK_TRAILER_FIRST);
	case SOQ__CHUNK_END_LF:
		return expect(c, byte, '\n', SOQ__CHUNK_DONE);
	default:
		return take_trailer(c, byte);
	}
}

static int give_data(struct soq__http_chunked *c, struct soq__text *in, struct soq__text *ret)
{
	*ret = (struct soq__text){ in->at, in->len < c->left ? in->len : (size_t)c->left };
	*in = soq__text_from(*in, ret->len);
	c->left -= ret->len;
	if (c->left == 0)
		c->state = SOQ__CHUNK_DATA_CR;
	return SOQ__CHUNKED_DATA;
}

int soq__http_chunked_next(
	struct soq__http_chunked *c, struct soq__text *in, struct soq__text *ret_data)
{
	int rc = SOQ__CHUNKED_MORE;

	while (rc == SOQ__CHUNKED_MORE && c->state != SOQ__CHUNK_DONE && in->len > 0) {
		if (c->state == SOQ__CHUNK_DATA)
			return give_data(c, in, ret_data);
		rc = take(c, in->at[0]);
		*in = soq__text_from(*in, 1);
	}
	return c->state == SOQ__CHUNK_DONE ? SOQ__CHUNKED_DONE : rc;
}
