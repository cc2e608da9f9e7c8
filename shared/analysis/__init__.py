"""What a result comes to when it is looked at closely: curves, calendars, distributions. Pure arithmetic.

Returns and falls are fractions here: 0.125 is 12.5 %. Days, months, weekdays and hours are those of UTC, and a bar is
of the one in which it opens. What cannot be known is None, never 0.
"""
