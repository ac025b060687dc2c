/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets: a mover may promote only into bytes that the fence leaves out.
 *
 * What is promoted is charged already, so no fence stops it. Therefore a mover takes a ticket first: the holder lowers
 * the fence by its bytes and grants it. The mover moves no more than that, and gives the ticket back. The fence rises
 * again only after the holder has measured what was moved. So local usage cannot pass the bound by a promotion, whatever
 * dies in between: a ticket that nobody gives back leaves room unused, and is gone with its agent.
 */
#ifndef BEDE_TICKET_H
#define BEDE_TICKET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum bede_ticket_state { BEDE_FREE, BEDE_WANTED, BEDE_GRANTED, BEDE_RETURNED, BEDE_SETTLING };

struct bede_ticket {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum bede_ticket_state state;
	bool closed;
	int wake;	  /* the holder's eventfd */
	uint64_t wanted;  /* bytes that shall be promoted ... */
	uint64_t demoted; /* ... and how many were demoted for them */
	uint64_t granted;
};

void bede_ticket_open(struct bede_ticket *ticket, int wake);

/* For the mover: take a ticket for so many bytes. Waits for the holder. Returns the bytes granted, 0 for none. */
uint64_t bede_ticket_take(struct bede_ticket *ticket, uint64_t bytes, uint64_t demoted);

/* For the mover: everything is moved. */
void bede_ticket_give_back(struct bede_ticket *ticket);

/*
 * For the holder, in each turn, before it moves the fence: the bytes that the fence must leave out of room. A ticket
 * that is wanted gets as much as room has; without demoted bytes only what is spare, which is room that no demotion
 * would take away again. *asked is set to whether bede_ticket_grant must follow once the fence stands.
 */
uint64_t bede_ticket_reserved(struct bede_ticket *ticket, uint64_t room, uint64_t spare, bool *asked);

/* For the holder: the fence stands, or could not be moved. */
void bede_ticket_grant(struct bede_ticket *ticket, bool stands);

/* No ticket is granted any more. Nobody waits for one after this. */
void bede_ticket_close(struct bede_ticket *ticket);

#endif
