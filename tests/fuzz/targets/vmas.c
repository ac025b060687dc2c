/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maps and numa_maps, one after the other with a 0 byte between: the ranges that may be moved must be valid
 * and sorted by heat, and splitting them by heat must lose nothing.
 */
#include <string.h>

#include "fuzz.h"
#include "order.h"
#include "shared.h"
#include "vmas.h"

static char *copy(const uint8_t *text, size_t size)
{
	char *out = malloc(size + 1);

	MUST(out, "no memory");
	memcpy(out, text, size);
	out[size] = '\0';
	return out;
}

/* Measured heat, also of ranges that overlap or do not exist. */
static void heat(struct bede_ranges *out, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i + 3 < size && i < 64; i += 3) {
		uint64_t start = (uint64_t)data[i] << 12;
		struct bede_range range = { .pid = 7 + (data[i + 2] & 1),
					    .heat = (data[i + 2] >> 1) * BEDE_HEAT_POINT,
					    .windows = data[i + 2] & 31,
					    .start = start,
					    .end = start + ((uint64_t)data[i + 1] << 12) };

		MUST(!bede_ranges_add(out, range), "no memory");
	}
}

static uint64_t length(const struct bede_ranges *ranges)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ranges->count; i++) {
		MUST(ranges->at[i].start < ranges->at[i].end, "range %zu", i);
		if (__builtin_add_overflow(sum, ranges->at[i].end - ranges->at[i].start, &sum))
			return UINT64_MAX;
	}
	return sum;
}

/* What is measured must end as parts that lie one after the other, each within a VMA of its process. */
static void merge(struct bede_ranges *measured, struct bede_ranges *vmas)
{
	struct bede_ranges *lists[] = { measured, vmas };

	for (size_t i = 0; i < 2; i++)
		bede_order_by_address(lists[i]);
	MUST(!bede_shared_merge(measured, vmas), "no memory");
	bede_shared_limit(vmas);
	bede_order_by_place(vmas);
	size_t before = measured->count;

	MUST(!bede_ranges_clip(measured, vmas), "no memory");
	for (size_t i = 1; i < measured->count; i++)
		MUST(bede_range_is_before(&measured->at[i - 1], &measured->at[i]), "part %zu of %zu", i,
		     before);
	(void)length(measured);
}

/* Whatever was measured, what is expected rises with it, and is a heat. Measured again, it is no change beyond all chance. */
static void foresee(const struct bede_ranges *scores, struct bede_ranges *ranges, size_t size)
{
	unsigned windows = 2 + size % 319;
	struct bede_forecast forecast;

	bede_forecast_make(scores, windows, 1.0 / windows, size << 12, &forecast);
	for (unsigned points = 0; points <= BEDE_HEAT_POINTS; points++)
		MUST(forecast.heat[points] >= (points ? forecast.heat[points - 1] : 0) &&
			     forecast.heat[points] <= BEDE_HEAT_ALWAYS,
		     "%f of %u", forecast.heat[points], points);
	struct bede_comparison compared;

	bede_forecast_compare(&forecast, scores, scores, &compared);
	struct bede_drift drift = bede_forecast_drift(&forecast, &compared, 2);

	MUST(drift.more <= 1 && drift.error >= 0, "%f, %f", drift.more, drift.error);
	(void)bede_forecast_has_failed(&compared, bede_scores_in_memory(scores, size << 12), 2);
	MUST(!bede_order(ranges, scores, true, &forecast), "no memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *middle = memchr(data, 0, size);
	size_t first = middle ? (size_t)(middle - data) : size;
	struct bede_vmas vmas = { 0 };
	struct bede_process process = { .pid = 7 };
	struct bede_ranges hot = { 0 };

	vmas.maps.text = copy(data, first);
	vmas.numa.text = middle ? copy(middle + 1, size - first - 1) : copy(data, first);
	MUST(!bede_vmas_parse(&vmas, &process, 1), "no memory");
	uint64_t before = length(&vmas.ranges);

	heat(&hot, data, size);
	bede_order_by_place(&hot);
	MUST(!bede_order(&vmas.ranges, &hot, false, NULL), "no memory");
	MUST(length(&vmas.ranges) == before, "was %llu", (unsigned long long)before);
	for (size_t i = 1; i < vmas.ranges.count; i++)
		MUST(vmas.ranges.at[i - 1].heat <= vmas.ranges.at[i].heat, "range %zu", i);
	hot.count = 0;
	heat(&hot, data, size);
	merge(&hot, &vmas.ranges);
	foresee(&hot, &vmas.ranges, size);
	free(hot.at);
	bede_vmas_free(&vmas);
	return 0;
}
