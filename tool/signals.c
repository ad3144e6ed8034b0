/* signals.c - the signals that ask a program to end. */
#include "signals.h"

#include <signal.h>

void tool_hold_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}
