"""How drivers drive: the constants that forecasts and advisory kinds share, each once, with unit and source."""

# Discharge of a queue after the beginning of green. As the queues of SUMO's default cars show it: they leave faster
# than the 1.9 s of HCM 6th ed. (base saturation flow of 1,900 vehicles/h per lane).
SATURATION_HEADWAY = 1.6  # s between vehicles of a discharging queue
MIN_HEADWAY = 1.2  # s between them at the least
# s from the beginning of green until the first vehicle passes: from a stand, or rolling up to the signal
STARTUP_LOST_TIME = 1.0
ACCELERATION = 2.5  # m/s^2 at which drivers gain speed (SUMO's default car: 2.6)
STANDING_SPEED = 1.4  # m/s (5 km/h): a slower vehicle stands in a queue (threshold of SUMO's jam detectors)

# Braking.
REACTION_TIME = 1.0  # s until a driver acts on advice (CAMP forward collision warning)
# m/s^2 that every driver accepts in order to stop for a signal (ITE yellow change interval: 10 ft/s^2)
FIRM_BRAKING = 3.0
# m/s^2: drivers who mean to stop have begun to brake before stopping takes more (SUMO's default car brakes with 4.5)
LATE_BRAKING = 4.5
BRAKING_SHARE = 1.0 / 3.0  # of the braking that it takes: a driver who brakes as hard as that has seen what is ahead
