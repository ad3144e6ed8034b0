/* table.c - every scenario. */
#include "scenario/scenario.h"

#include <string.h>

static const struct soq_sim_sweep *const scenarios[] = {
	&scopes,
	&echo,
	&http,
	&heartbeat,
	&tls_visits,
};

const struct soq_sim_sweep *scenario_at(size_t index)
{
	return index < sizeof(scenarios) / sizeof(scenarios[0]) ? scenarios[index] : NULL;
}

int scenario_prepare(void)
{
	return http_prepare();
}

void scenario_clean_up(void)
{
	http_clean_up();
}

const struct soq_sim_sweep *scenario_find(const char *name)
{
	const struct soq_sim_sweep *s;

	for (size_t i = 0; (s = scenario_at(i)); i++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}
