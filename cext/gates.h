/* The gate of a track, for one or for several side by side: models.h. */

/* The gate of a state around detections whose largest variance is `widest`, and the metric for those of noise `own` (xx,
 * yy, xy), all m^2; `late`: what no model foresees, by axis. */
INLINE void NAME(find_gate)(const STATE *s, REAL late, double gate, double widest, const double own[3], GATE *out)
{
    REAL hx = ROOT(gate * (s->p[0] + widest + late)), hy = ROOT(gate * (s->p[4] + widest + late));
    out->late = late;
    out->half_x = CHOOSE(hx < MAX_GATE, hx, SPLAT(MAX_GATE));
    out->half_y = CHOOSE(hy < MAX_GATE, hy, SPLAT(MAX_GATE));

    REAL det = NAME(inverse)(s->p[0] + (own[0] + late), s->p[4] + (own[1] + late), s->p[1] + own[2], out->inverse);
    /* a gate that is wide because the speed is unknown is not charged for its width */
    REAL xy = s->p[1] + own[2], bare = (s->p[0] + own[0]) * (s->p[4] + own[1]) - xy * xy;
    bare = CHOOSE(bare > 1e-12, bare, SPLAT(1e-12));
    out->log_det = LOGARITHM(CHOOSE(late > 0.0, bare, det));
}
