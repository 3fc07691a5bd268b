/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The real-time clock. Invariant: events up to rtc->seen are in register C,
 * the interrupt line is C.IRQF, rtc->deadline is the next event that register
 * B lets through. While B.SET is on, time stands still in rtc->cmos.
 */
#include "devices/rtc.h"

#include "devices/ticks.h"

#define RTC_HZ 32768u
#define RTC_UIP_TICKS 73 /* 244 us of warning and 1984 us of the update itself */

enum {
	RTC_SECONDS = 0, RTC_SECONDS_ALARM, RTC_MINUTES, RTC_MINUTES_ALARM, RTC_HOURS, RTC_HOURS_ALARM,
	RTC_WEEKDAY, RTC_DAY, RTC_MONTH, RTC_YEAR, RTC_A, RTC_B, RTC_C, RTC_D,
	CMOS_EQUIPMENT = 0x14, CMOS_BASE_KB = 0x15, CMOS_EXTENDED_KB = 0x17, CMOS_CHECKSUM_FIRST = 0x10,
	CMOS_CHECKSUM_LAST = 0x2D, CMOS_CHECKSUM = 0x2E, CMOS_EXTENDED_KB_2 = 0x30, CMOS_CENTURY = 0x32,
	CMOS_ABOVE_16M = 0x34, CMOS_ABOVE_4G = 0x5B,
};

#define A_UIP 0x80
#define A_RATE 0x0F
#define B_SET 0x80
#define B_PIE 0x40
#define B_AIE 0x20
#define B_UIE 0x10
#define B_BINARY 0x04
#define B_24H 0x02
#define C_IRQF 0x80
#define C_PF 0x40
#define C_AF 0x20
#define C_UF 0x10
#define D_VALID 0x80
#define HOUR_PM 0x80
#define ALARM_ANY 0xC0
#define DAY_SECONDS 86400

struct rtc_time {
	int64_t year; /* 0..9999 */
	unsigned int month, day, weekday, hour, minute, second; /* month, day, weekday from 1 */
};

/* ---- calendar: the proleptic Gregorian one, years counted from March ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days from 1970-01-01; @month 1..12. */
static int64_t days_from_date(int64_t year, unsigned int month, unsigned int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = floor_div(y, 400), year_of_era = y - era * 400;
	int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_from_days(int64_t days, struct rtc_time *t)
{
	int64_t z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	t->day = (unsigned int)(doy - (153 * mp + 2) / 5 + 1);
	t->month = (unsigned int)(mp < 10 ? mp + 3 : mp - 9);
	t->year = yoe + era * 400 + (t->month <= 2);
	t->weekday = (unsigned int)((days + 4) - floor_div(days + 4, 7) * 7) + 1;
}

static struct rtc_time time_from_unix(int64_t unix_time)
{
	struct rtc_time t;
	int64_t days = floor_div(unix_time, DAY_SECONDS);
	unsigned int second_of_day = (unsigned int)(unix_time - days * DAY_SECONDS);

	date_from_days(days, &t);
	t.hour = second_of_day / 3600;
	t.minute = second_of_day / 60 % 60;
	t.second = second_of_day % 60;
	return t;
}

static int64_t unix_from_time(const struct rtc_time *t)
{
	return days_from_date(t->year, t->month, t->day) * DAY_SECONDS + t->hour * 3600 + t->minute * 60 +
	       t->second;
}

/* ---- number formats ---- */

static uint8_t rtc_encode(const struct rtc *r, unsigned int v)
{
	return (uint8_t)(r->cmos[RTC_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static unsigned int rtc_decode(const struct rtc *r, uint8_t v)
{
	return r->cmos[RTC_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static uint8_t rtc_encode_hour(const struct rtc *r, unsigned int hour)
{
	if (r->cmos[RTC_B] & B_24H)
		return rtc_encode(r, hour);
	return rtc_encode(r, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned int rtc_decode_hour(const struct rtc *r, uint8_t v)
{
	if (r->cmos[RTC_B] & B_24H)
		return rtc_decode(r, v);
	return rtc_decode(r, v & ~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

static uint64_t rtc_ticks(const struct rtc *r, uint64_t now)
{
	return ticks_scale(now, RTC_HZ, r->tsc_hz);
}

static int64_t rtc_unix(const struct rtc *r, uint64_t ticks)
{
	return r->offset + (int64_t)(ticks / RTC_HZ);
}

/* Time of day and date into the CMOS, where guests read them. */
static void rtc_store_time(struct rtc *r, uint64_t ticks)
{
	struct rtc_time t = time_from_unix(rtc_unix(r, ticks));

	r->cmos[RTC_SECONDS] = rtc_encode(r, t.second);
	r->cmos[RTC_MINUTES] = rtc_encode(r, t.minute);
	r->cmos[RTC_HOURS] = rtc_encode_hour(r, t.hour);
	r->cmos[RTC_WEEKDAY] = rtc_encode(r, t.weekday);
	r->cmos[RTC_DAY] = rtc_encode(r, t.day);
	r->cmos[RTC_MONTH] = rtc_encode(r, t.month);
	r->cmos[RTC_YEAR] = rtc_encode(r, (unsigned int)(t.year % 100));
	r->cmos[CMOS_CENTURY] = rtc_encode(r, (unsigned int)(t.year / 100 % 100));
}

static unsigned int limited(unsigned int v, unsigned int least, unsigned int most)
{
	return v < least ? least : v > most ? most : v;
}

/* And back. Nonsense is brought into range. */
static void rtc_load_time(struct rtc *r, uint64_t ticks)
{
	struct rtc_time t = {
		.year = limited(rtc_decode(r, r->cmos[CMOS_CENTURY]), 0, 99) * 100 +
			limited(rtc_decode(r, r->cmos[RTC_YEAR]), 0, 99),
		.month = limited(rtc_decode(r, r->cmos[RTC_MONTH]), 1, 12),
		.day = limited(rtc_decode(r, r->cmos[RTC_DAY]), 1, 31),
		.hour = limited(rtc_decode_hour(r, r->cmos[RTC_HOURS]), 0, 23),
		.minute = limited(rtc_decode(r, r->cmos[RTC_MINUTES]), 0, 59),
		.second = limited(rtc_decode(r, r->cmos[RTC_SECONDS]), 0, 59),
	};

	r->offset = unix_from_time(&t) - (int64_t)(ticks / RTC_HZ);
}

/* ---- events ---- */

/* 32768 Hz ticks between periodic events, 0: none. */
static uint64_t rtc_period(const struct rtc *r)
{
	unsigned int rate = r->cmos[RTC_A] & A_RATE;

	if (!rate)
		return 0;
	return 1u << (rate <= 2 ? rate + 6 : rate - 1);
}

/* Does a unit of time match its alarm register? @v in range. */
static bool alarm_matches(uint8_t alarm, unsigned int decoded, unsigned int v)
{
	return alarm >= ALARM_ANY || decoded == v;
}

static bool rtc_alarm_hour(const struct rtc *r, unsigned int hour)
{
	uint8_t alarm = r->cmos[RTC_HOURS_ALARM];

	return alarm_matches(alarm, rtc_decode_hour(r, alarm), hour);
}

static bool rtc_alarm_unit(const struct rtc *r, unsigned int reg, unsigned int v)
{
	return alarm_matches(r->cmos[reg], rtc_decode(r, r->cmos[reg]), v);
}

/* The first @v in @from..@limit-1 that matches the alarm, or @limit. */
static unsigned int rtc_alarm_next(const struct rtc *r, unsigned int reg, unsigned int from,
				   unsigned int limit)
{
	while (from < limit && !rtc_alarm_unit(r, reg, from))
		from++;
	return from;
}

/* Within one hour: the second of the hour, from @from on, or 3600. */
static unsigned int rtc_alarm_in_hour(const struct rtc *r, unsigned int from)
{
	unsigned int minute = from / 60, second = from % 60;

	for (unsigned int i = 0; i < 2; i++) {
		minute = rtc_alarm_next(r, RTC_MINUTES_ALARM, minute, 60);
		if (minute != from / 60)
			second = 0;
		if (minute == 60)
			break;
		second = rtc_alarm_next(r, RTC_SECONDS_ALARM, second, 60);
		if (second < 60)
			return minute * 60 + second;
		minute++;
	}
	return 3600;
}

/* Seconds until the next alarm after Unix time @t (1..86400), or 0: never. */
static unsigned int rtc_alarm_distance(const struct rtc *r, int64_t t)
{
	int64_t next = t + 1;
	unsigned int start = (unsigned int)(next - floor_div(next, DAY_SECONDS) * DAY_SECONDS);
	unsigned int from = start % 3600, in_hour;

	for (unsigned int i = 0; i <= 24; i++, from = 0) {
		if (!rtc_alarm_hour(r, (start / 3600 + i) % 24))
			continue;
		in_hour = rtc_alarm_in_hour(r, from);
		if (in_hour < 3600)
			return 1 + (start / 3600 + i) * 3600 + in_hour - start;
	}
	return 0;
}

/* The tick of the next alarm after tick @after, or TICKS_NEVER. */
static uint64_t rtc_alarm_tick(const struct rtc *r, uint64_t after)
{
	unsigned int distance = rtc_alarm_distance(r, rtc_unix(r, after));

	return distance ? (after / RTC_HZ + distance) * RTC_HZ : TICKS_NEVER;
}

static uint64_t rtc_next_tick(const struct rtc *r)
{
	uint8_t b = r->cmos[RTC_B];
	uint64_t period = rtc_period(r), next = TICKS_NEVER;

	if ((b & B_PIE) && period)
		next = ticks_min(next, (r->seen / period + 1) * period);
	if ((b & B_UIE) && !(b & B_SET))
		next = ticks_min(next, (r->seen / RTC_HZ + 1) * RTC_HZ);
	if ((b & B_AIE) && !(b & B_SET))
		next = ticks_min(next, rtc_alarm_tick(r, r->seen));
	return next;
}

/* IRQF and the line follow flags and enables; so does the deadline: an
 * unread register C keeps the line high, and nothing can rise any more. */
static void rtc_update(struct rtc *r)
{
	uint8_t flags = r->cmos[RTC_C] & (C_PF | C_AF | C_UF);
	bool irq = flags & r->cmos[RTC_B];
	uint64_t next = irq ? TICKS_NEVER : rtc_next_tick(r);

	r->cmos[RTC_C] = flags | (irq ? C_IRQF : 0);
	r->deadline = next == TICKS_NEVER ? TICKS_NEVER : ticks_scale_up(next, r->tsc_hz, RTC_HZ);
	irq_line_set(&r->irq, irq);
}

void rtc_run(struct rtc *r, uint64_t now)
{
	uint64_t ticks = rtc_ticks(r, now), period = rtc_period(r);

	if (period && ticks / period != r->seen / period)
		r->cmos[RTC_C] |= C_PF;
	if (!(r->cmos[RTC_B] & B_SET) && ticks / RTC_HZ != r->seen / RTC_HZ) {
		r->cmos[RTC_C] |= C_UF;
		if (rtc_alarm_tick(r, r->seen) <= ticks)
			r->cmos[RTC_C] |= C_AF;
	}
	r->seen = ticks;
	rtc_update(r);
}

/* ---- registers ---- */

static bool rtc_is_time(unsigned int index)
{
	return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS ||
	       (index >= RTC_WEEKDAY && index <= RTC_YEAR) || index == CMOS_CENTURY;
}

static bool rtc_updating(const struct rtc *r, uint64_t ticks)
{
	return !(r->cmos[RTC_B] & B_SET) && RTC_HZ - ticks % RTC_HZ <= RTC_UIP_TICKS;
}

static uint8_t rtc_read_c(struct rtc *r)
{
	uint8_t val = r->cmos[RTC_C];

	r->cmos[RTC_C] = 0;
	rtc_update(r);
	return val;
}

uint8_t rtc_read(struct rtc *r, unsigned int reg, uint64_t now)
{
	unsigned int index = r->index % RTC_CMOS_SIZE;
	uint64_t ticks = rtc_ticks(r, now);

	if (reg == 0)
		return r->index;
	rtc_run(r, now);
	if (index == RTC_A)
		return r->cmos[RTC_A] | (rtc_updating(r, ticks) ? A_UIP : 0);
	if (index == RTC_C)
		return rtc_read_c(r);
	if (rtc_is_time(index) && !(r->cmos[RTC_B] & B_SET))
		rtc_store_time(r, ticks);
	return r->cmos[index];
}

/* SET freezes the time where it is, and lets it go on from what is there.
 * Changing the number format alone does not set the clock. */
static void rtc_write_b(struct rtc *r, uint8_t val, uint64_t ticks)
{
	bool was_set = r->cmos[RTC_B] & B_SET;

	r->cmos[RTC_B] = val & B_SET ? val & ~B_UIE : val;
	if (!was_set && (val & B_SET))
		rtc_store_time(r, ticks);
	if (was_set && !(val & B_SET))
		rtc_load_time(r, ticks);
}

/* Without SET a single register can be written too: the clock runs on. */
static void rtc_write_time(struct rtc *r, unsigned int index, uint8_t val, uint64_t ticks)
{
	bool set = r->cmos[RTC_B] & B_SET;

	if (!set)
		rtc_store_time(r, ticks);
	r->cmos[index] = val;
	if (!set)
		rtc_load_time(r, ticks);
}

void rtc_write(struct rtc *r, unsigned int reg, uint8_t val, uint64_t now)
{
	unsigned int index = r->index % RTC_CMOS_SIZE;
	uint64_t ticks = rtc_ticks(r, now);

	if (reg == 0) {
		r->index = val;
		return;
	}
	rtc_run(r, now);
	if (rtc_is_time(index))
		rtc_write_time(r, index, val, ticks);
	else if (index == RTC_A)
		r->cmos[RTC_A] = val & ~A_UIP;
	else if (index == RTC_B)
		rtc_write_b(r, val, ticks);
	else if (index != RTC_C && index != RTC_D)
		r->cmos[index] = val;
	rtc_update(r);
}

static void cmos_set(struct rtc *r, unsigned int index, uint64_t val, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		r->cmos[index + i] = (uint8_t)(val >> 8 * i);
}

static void cmos_set_checksum(struct rtc *r)
{
	unsigned int sum = 0;

	for (unsigned int i = CMOS_CHECKSUM_FIRST; i <= CMOS_CHECKSUM_LAST; i++)
		sum += r->cmos[i];
	r->cmos[CMOS_CHECKSUM] = (uint8_t)(sum >> 8); /* high byte first */
	r->cmos[CMOS_CHECKSUM + 1] = (uint8_t)sum;
}

/* @size bytes above @from, in @unit, as much as @bytes bytes can tell. */
static uint64_t cmos_memory(uint64_t size, uint64_t from, uint64_t unit, unsigned int bytes)
{
	uint64_t units = size > from ? (size - from) / unit : 0;

	return ticks_min(units, (1ull << 8 * bytes) - 1);
}

static void cmos_set_memory(struct rtc *r, uint64_t low, uint64_t high)
{
	uint64_t extended = cmos_memory(low, 1 << 20, 1 << 10, 2);

	cmos_set(r, CMOS_BASE_KB, cmos_memory(low < 640 << 10 ? low : 640 << 10, 0, 1 << 10, 2), 2);
	cmos_set(r, CMOS_EXTENDED_KB, extended, 2);
	cmos_set(r, CMOS_EXTENDED_KB_2, extended, 2);
	cmos_set(r, CMOS_ABOVE_16M, cmos_memory(low, 16 << 20, 64 << 10, 2), 2);
	cmos_set(r, CMOS_ABOVE_4G, cmos_memory(high, 0, 64 << 10, 3), 3);
}

void rtc_init(struct rtc *r, uint64_t tsc_hz, uint64_t epoch, uint64_t low_memory, uint64_t high_memory,
	      struct irq_line irq)
{
	*r = (struct rtc){ .tsc_hz = tsc_hz, .offset = (int64_t)epoch, .irq = irq, .deadline = TICKS_NEVER };
	r->cmos[RTC_A] = 0x26; /* 32768 Hz, 1024 Hz periodic */
	r->cmos[RTC_B] = B_24H;
	r->cmos[RTC_D] = D_VALID;
	r->cmos[CMOS_EQUIPMENT] = 0x02; /* a coprocessor; no floppy, no display */
	cmos_set_memory(r, low_memory, high_memory);
	cmos_set_checksum(r);
}

void rtc_save(const struct rtc *r, struct rtc *out)
{
	*out = *r;
	irq_line_unwire(&out->irq);
}

void rtc_restore(struct rtc *r, const struct rtc *saved)
{
	struct rtc wiring = *r;

	*r = *saved;
	irq_line_rewire(&r->irq, &wiring.irq);
}
