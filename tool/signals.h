/* signals.h - the signals that ask a program to end. */
#ifndef TOOL_SIGNALS_H
#define TOOL_SIGNALS_H

/**
 * Keep SIGINT and SIGTERM until a server that stops on them runs. Called before it is said
 * that the server is there: whoever reads that may send one at once.
 */
void tool_hold_signals(void);

#endif
