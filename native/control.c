/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include "units.h"

/*
 * Pages by which one CPU may exceed what is measured, in batches of 64 (MEMCG_CHARGE_BATCH of
 * include/linux/memcontrol.h): one batch is charged but not used, one is in no statistics yet, and one is on
 * its way past the fence.
 */
#define UNCOUNTED_PAGES (3 * 64)
/* Time between two measurements: the least, the most, and the most near the bound while usage changes. */
#define MIN_WAIT_US 1000
#define MAX_WAIT_US 100000
#define NEAR_WAIT_US 4000

/* What is left of an earlier observation after each new one: of means, and of the rate once growth is slower. */
#define KEPT 0.95
#define KEPT_OF_TURNS 0.9
#define KEPT_OF_PROMOTED 0.8
/*
 * Page cache comes in surges: a reader that finds its file on a fast disk, a log segment that is filled with zeros. Seconds that
 * one of them has to last until demotion has got ahead of it, and seconds for which it is remembered.
 */
#define SURGE_S 0.15
#define SURGE_HELD_S 0.3
#define SURGED_HELD_S 30 /* ... and by what is promoted into its room: it comes again */

/* Shares of the bound that the limit stays below it, or comes back. */
#define UNUSED 128	 /* one of so many parts, at most, for what CPUs have charged in advance */
#define SOFT 0.03	 /* page cache: a task may pass its fence by 1.25 % of all memory of its cgroup */
#define FLIGHT_MOST 0.05 /* huge pages in flight, as far as they are always there ... */
#define FLIGHT_BACK 0.3	 /* ... of which so much is on its way to far nodes, and not counted twice */
#define PAST_FENCE 0.75	 /* share of the huge pages in flight that lie past the fence */
#define KILLED 50	 /* one of so many parts may be passed where nobody moves the fence any more */
#define FLIGHT_PARTS 8	 /* in flight count at most one of so many parts */

/* Shares of the bound between the limit and the low watermark, where demotion begins. */
#define LEAST 0.005	  /* any memory: small changes shall not reach the fence */
#define LEAST_CACHE 0.02  /* page cache, in addition: demotion that comes too late loses some */
#define MOST 0.012	  /* anonymous memory, which is not lost at the fence */
#define MOST_HUGE 0.006	  /* huge pages: with 2 MiB at a time there is always some room */
#define MOST_PROMOTED 0.2 /* what NUMA balancing promotes, and no fence stops */
#define MOST_CACHE 0.3	  /* page cache */
#define HUGE_PARTS 192	  /* a huge page for each CPU, but at most one of so many parts */
/* Growth between two turns and until the demoter has begun: turns, and seconds. More for promoted pages. */
#define AHEAD_TURNS 4
#define AHEAD_S 0.005
#define AHEAD_PROMOTED 4

static uint64_t sum(const uint64_t *bytes, uint64_t mask)
{
	uint64_t total = 0;

	for (int node = 0; node < BEDE_MAX_NODES; node++)
		if (mask >> node & 1)
			total += bytes[node];
	return total;
}

static double least_of(double one, double other)
{
	return one < other ? one : other;
}

static double most_of(double one, double other)
{
	return one > other ? one : other;
}

/* A running mean, of which so much is left after each new value. */
static double mean(double was, double now, double kept)
{
	return was * kept + now * (1 - kept);
}

/* Update *share, a running mean of one kind of memory's share of the growth. A big growth weighs more. */
static void follow(double *share, uint64_t part, uint64_t before, double growth, uint64_t bound)
{
	double more = part > before ? (double)(part - before) : 0;
	double weight = least_of(0.1 + 4 * growth / (double)bound, 0.5);

	*share = mean(*share, least_of(more / growth, 1), 1 - weight);
}

/* What is left of value after so many seconds, if it falls to 1/e in each held_s. */
static double faded(double value, double seconds, double held_s)
{
	return value / (1 + seconds / held_s);
}

/* Bytes charged but not yet on an LRU list, mostly of pages that a task is still filling. 0 if unknown. */
static uint64_t charged_ahead(const struct bede_control *control)
{
	if (control->kernel == UINT64_MAX)
		return 0;
	uint64_t known = control->local + control->far + control->kernel;

	return control->current > known ? control->current - known : 0;
}

void bede_control_observe(struct bede_control *control, uint64_t at_us, uint64_t current)
{
	uint64_t file = control->file, huge = control->huge;
	uint64_t local = control->local, far = control->far;
	bool first = !control->at_us;
	double seconds = first ? 0 : (double)(at_us - control->at_us) / 1e6;
	double growth = current > control->current ? (double)(current - control->current) : 0;

	control->local = sum(control->numa.lru, control->local_mask);
	control->quiet = current == control->current && control->local == local ? control->quiet + 1 : 0;
	control->at_us = at_us;
	control->current = current;
	control->far = sum(control->numa.lru, control->far_mask);
	control->file = sum(control->numa.file, UINT64_MAX);
	control->huge = sum(control->numa.huge, UINT64_MAX);
	if (control->local < control->bound - control->bound / 4 || first) {
		control->settled = 0;
		control->far_before = control->far;
	} else if (control->far > control->far_before + control->bound / 16) {
		control->settled = 1;
	}
	/*
	 * The first measurement shows no growth: begin with the share of huge pages in all memory. The share
	 * of page cache begins at 0, since its margin is wide.
	 */
	uint64_t listed = control->local + control->far;

	if (first && listed)
		control->huge_share = (double)minimum(control->huge, listed) / (double)listed;
	if (seconds <= 0)
		return;
	double nearer = control->local > local ? (double)(control->local - local) : 0;
	double rate = most_of(growth, nearer) / seconds;

	if (nearer > 0 && !control->ticketed) {
		double left = far > control->far ? (double)(far - control->far) : 0;

		control->promoted_share =
			mean(control->promoted_share, least_of(left / nearer, 1), KEPT_OF_PROMOTED);
	}
	control->rate = most_of(rate, mean(control->rate, rate, KEPT));
	uint64_t ahead = charged_ahead(control);

	/* What is on its way to far nodes needs no room in local memory. */
	ahead -= minimum(ahead, control->leaving);
	control->flight = mean(control->flight, (double)ahead, KEPT);
	control->turn_s = mean(control->turn_s, least_of(seconds, MAX_WAIT_US / 1e6), KEPT_OF_TURNS);
	control->lately = faded(control->lately, seconds, SURGE_S) + growth;
	control->surge = most_of(faded(control->surge, seconds, SURGE_HELD_S), control->lately);
	control->cached = faded(control->cached, seconds, SURGE_S) +
			  (control->file > file ? (double)(control->file - file) : 0);
	control->surged = most_of(faded(control->surged, seconds, SURGED_HELD_S), control->cached);
	if (growth > 0) {
		follow(&control->file_share, control->file, file, growth, control->bound);
		follow(&control->huge_share, control->huge, huge, growth, control->bound);
	}
}

/*
 * Bytes beyond two per cent by which tasks would exceed the bound if nobody moved the fence again. Each
 * task passes the fence by a huge page before it makes room for one; a living agent demotes that much ahead
 * of the tasks. Most of the huge pages that are being filled now (the flight) lie past the fence.
 */
static double left_behind(const struct bede_control *control)
{
	double bound = (double)control->bound;
	double more = control->flight * PAST_FENCE - bound / KILLED;

	return least_of(most_of(more, 0), bound / FLIGHT_PARTS);
}

/*
 * The most local usage to allow, in bytes. Two things make it lower than the bound. CPUs may have charged
 * pages in advance, whose use does not show in memory.current. And the fence is soft: the kernel lets a
 * task continue whose reclaim could not free enough, as long as the usage is little above memory.high; for
 * page cache, whose pages are often locked or dirty, that is a share of the bound. Huge pages in flight
 * count as local (see in_flight), but there are always some, so a part of them is added back.
 */
static uint64_t limit(const struct bede_control *control)
{
	double bound = (double)control->bound;
	double charged = (double)minimum(control->cpus * UNCOUNTED_PAGES * PAGE, control->bound / UNUSED);
	double always = least_of(control->flight, bound * FLIGHT_MOST);
	double soft = control->open ? 0 : bound * SOFT * control->file_share;
	double back = always * FLIGHT_BACK - left_behind(control);

	return (uint64_t)(bound - charged - soft + back * control->huge_share);
}

/*
 * Bytes below limit() at which demotion starts: the growth that is possible before the next turns of the
 * loop. The margin is wider for page cache, because a task that reclaims at the fence may drop some: as wide as
 * what came in one surge lately. It is wider for pages that NUMA balancing promotes, too, because no fence stops
 * them, and narrower for huge pages, which are not lost at the fence and are moved 2 MiB at a time.
 */
static uint64_t margin(const struct bede_control *control, uint64_t bound)
{
	double all = (double)bound;
	double most = MOST - MOST_HUGE * control->huge_share + MOST_PROMOTED * control->promoted_share;
	double huge = (double)minimum(control->cpus * HUGE_PAGE, bound / HUGE_PARTS) * control->huge_share;
	double ahead =
		(control->turn_s * AHEAD_TURNS + AHEAD_S) * (1 + AHEAD_PROMOTED * control->promoted_share);
	double surge = least_of(control->surge, all * MOST_CACHE) * control->file_share;
	double least = all * (LEAST + LEAST_CACHE * control->file_share);
	double want = least_of(control->rate * ahead, all * most);

	/* A task may exceed the fence by a whole huge page before it has to make room for it. */
	want = most_of(most_of(want, huge), surge);
	return (uint64_t)most_of(want, least);
}

/*
 * How many of the bytes in flight (charged, but on no LRU list yet) count as local. Each task that runs
 * towards the bound unhindered has a page in flight, so together they would exceed the bound before the
 * first of them has to make room. On many CPUs, charges in batches and late statistics add up to as much.
 * These bytes count even when demotion has begun: if the agent dies, the last fence stays, and must not be
 * too high by them. Huge pages then count in full, because a turn of the loop between a charge and its page
 * would see the same room twice.
 */
static uint64_t in_flight(const struct bede_control *control, uint64_t flight)
{
	uint64_t allowed = control->bound / UNUSED;
	uint64_t beyond = flight > allowed ? minimum(flight - allowed, control->bound / FLIGHT_PARTS) : 0;
	uint64_t huge = control->settled ? (uint64_t)((double)flight * control->huge_share) : 0;

	return huge > beyond ? huge : beyond;
}

uint64_t bede_control_room(const struct bede_control *control)
{
	uint64_t end = limit(control);
	uint64_t used = control->local + in_flight(control, charged_ahead(control));
	uint64_t room = end > used ? end - used : 0;

	for (int node = 0; node < BEDE_MAX_NODES; node++) {
		uint64_t bound = control->node_bound[node], here = control->numa.lru[node];

		if (bound != UINT64_MAX)
			room = minimum(room, bound > here ? bound - here : 0);
	}
	return room;
}

/* Local usage as demotion counts it: with what mostly is in flight. */
static uint64_t usage(const struct bede_control *control)
{
	return control->local + in_flight(control, (uint64_t)control->flight);
}

/*
 * The margin grows for a moment with each burst of buffers, or surge of page cache. What is demoted for that
 * shall not come back only to leave again. Where it is taken from huge pages, one of them leaves for a burst
 * as a whole.
 */
static uint64_t calm_margin(const struct bede_control *control)
{
	double listed = (double)(control->local + control->far), most = MOST * (double)control->bound;
	double now = (double)margin(control, control->bound);
	double share = listed > 0 ? least_of((double)control->huge / listed, 1) : 0;
	double surged = least_of(control->surged, (double)control->bound * MOST_CACHE);

	return (uint64_t)most_of(now + most_of(most - now, 0) * share, surged);
}

uint64_t bede_control_spare(const struct bede_control *control)
{
	uint64_t end = limit(control), low = end - minimum(end, calm_margin(control));
	uint64_t used = usage(control);

	for (int node = 0; node < BEDE_MAX_NODES; node++)
		if (control->node_bound[node] != UINT64_MAX)
			return 0;
	return low > used ? low - used : 0;
}

bool bede_control_is_huge(const struct bede_control *control)
{
	return control->huge > (control->local + control->far) / 2;
}

uint64_t bede_control_excess(const struct bede_control *control, int *node)
{
	uint64_t below = margin(control, control->bound);
	uint64_t low = limit(control) - below;
	uint64_t half_a_page = (uint64_t)(HUGE_PAGE / 2 * control->huge_share);
	uint64_t used_in_all = usage(control);
	uint64_t most = 0, largest = 0;

	*node = -1;
	for (int n = 0; n < BEDE_MAX_NODES; n++) {
		uint64_t used = control->numa.lru[n], bound = control->node_bound[n];
		uint64_t node_low = bound == UINT64_MAX ? bound : bound - margin(control, bound);

		if (!(control->local_mask >> n & 1))
			continue;
		if (used > node_low && used - node_low > most) {
			most = used - node_low;
			*node = n;
		}
		if (!most && used > largest) {
			largest = used;
			*node = n;
		}
	}
	if (!most && used_in_all > low)
		most = used_in_all - low;
	/* A huge page moves as a whole: for an excess of less than half of one, that takes away too much. */
	return most > minimum(half_a_page, below / 2) ? most : 0;
}

uint64_t bede_control_cache(const struct bede_control *control, uint64_t nodes)
{
	const struct bede_numa *numa = &control->numa;
	uint64_t total = 0;

	for (int node = 0; node < BEDE_MAX_NODES; node++) {
		uint64_t mapped = numa->mapped[node] - minimum(numa->mapped[node], numa->shmem[node]);

		if (nodes >> node & 1)
			total += numa->file[node] - minimum(numa->file[node], mapped);
	}
	return total;
}

uint64_t bede_control_wait(const struct bede_control *control, uint64_t room)
{
	double most = MAX_WAIT_US;
	double ahead = control->rate > 0 ? (double)room / control->rate / 4 * 1e6 : most;

	/* A single measurement shows no growth. */
	if (!control->turn_s)
		return MIN_WAIT_US;
	if (room < control->bound / 8 && control->quiet < MAX_WAIT_US / NEAR_WAIT_US)
		most = NEAR_WAIT_US * (1 + control->quiet);
	return (uint64_t)most_of(least_of(ahead, most), MIN_WAIT_US);
}
