/* signals.h - the signals that ask a program to end, or to read its files again. */
#ifndef TOOL_SIGNALS_H
#define TOOL_SIGNALS_H

#include <stdbool.h>

/**
 * Keep SIGINT and SIGTERM until a server that stops on them runs. Called before it is said
 * that the server is there: whoever reads that may send one at once.
 */
void tool_hold_signals(void);

/** Keep SIGHUP, too, until a fiber waits for it. */
void tool_hold_hangup(void);

/** Whether there is a terminal whose end SIGHUP would tell. */
bool tool_has_terminal(void);

#endif
