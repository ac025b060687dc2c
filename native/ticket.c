/* SPDX-License-Identifier: Apache-2.0 */
#include "ticket.h"

#include <time.h>

#include "thread.h"
#include "units.h"

#define PATIENCE_NS 100000000L /* a holder that answers later has other things to do */

void bede_ticket_open(struct bede_ticket *ticket, int wake)
{
	pthread_condattr_t clock;

	*ticket = (struct bede_ticket){ .wake = wake };
	pthread_mutex_init(&ticket->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&ticket->changed, &clock);
	pthread_condattr_destroy(&clock);
}

/* Wait until the ticket has another state than this. Returns whether it has. */
static bool wait_while(struct bede_ticket *ticket, enum bede_ticket_state state, const struct timespec *until)
{
	while (ticket->state == state && !ticket->closed)
		if (pthread_cond_timedwait(&ticket->changed, &ticket->lock, until))
			break;
	return ticket->state != state && !ticket->closed;
}

uint64_t bede_ticket_take(struct bede_ticket *ticket, uint64_t bytes, uint64_t demoted)
{
	struct timespec until;
	uint64_t granted = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += PATIENCE_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&ticket->lock);
	if (wait_while(ticket, BEDE_RETURNED, &until) && wait_while(ticket, BEDE_SETTLING, &until)) {
		ticket->state = BEDE_WANTED;
		ticket->wanted = bytes;
		ticket->demoted = demoted;
		bede_wake(ticket->wake);
		if (wait_while(ticket, BEDE_WANTED, &until) && ticket->state == BEDE_GRANTED)
			granted = ticket->granted;
		else if (ticket->state == BEDE_WANTED)
			ticket->state = BEDE_FREE;
	}
	pthread_mutex_unlock(&ticket->lock);
	return granted;
}

void bede_ticket_give_back(struct bede_ticket *ticket)
{
	pthread_mutex_lock(&ticket->lock);
	if (ticket->state == BEDE_GRANTED)
		ticket->state = BEDE_RETURNED;
	pthread_mutex_unlock(&ticket->lock);
	bede_wake(ticket->wake);
}

uint64_t bede_ticket_reserved(struct bede_ticket *ticket, uint64_t room, uint64_t spare, bool *asked)
{
	pthread_mutex_lock(&ticket->lock);
	switch (ticket->state) {
	case BEDE_FREE:
		ticket->granted = 0;
		break;
	case BEDE_WANTED:
		ticket->granted = minimum(ticket->wanted, minimum(room, spare + ticket->demoted));
		break;
	case BEDE_RETURNED:
		/* This turn may have measured before the last page was moved. The next one does afterwards. */
		ticket->state = BEDE_SETTLING;
		bede_wake(ticket->wake);
		break;
	case BEDE_SETTLING:
		ticket->state = BEDE_FREE;
		ticket->granted = 0;
		pthread_cond_broadcast(&ticket->changed);
		break;
	case BEDE_GRANTED:
		break;
	}
	*asked = ticket->state == BEDE_WANTED;
	uint64_t reserved = minimum(ticket->granted, room);

	pthread_mutex_unlock(&ticket->lock);
	return reserved;
}

void bede_ticket_grant(struct bede_ticket *ticket, bool stands)
{
	pthread_mutex_lock(&ticket->lock);
	/* The mover may have lost patience meanwhile. */
	if (ticket->state == BEDE_WANTED) {
		ticket->state = stands && ticket->granted ? BEDE_GRANTED : BEDE_FREE;
		pthread_cond_broadcast(&ticket->changed);
	}
	pthread_mutex_unlock(&ticket->lock);
}

void bede_ticket_close(struct bede_ticket *ticket)
{
	pthread_mutex_lock(&ticket->lock);
	ticket->closed = true;
	pthread_cond_broadcast(&ticket->changed);
	pthread_mutex_unlock(&ticket->lock);
}
