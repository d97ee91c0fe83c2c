/* signalfd's side of the signal queues. Owner: sentry/signalfd.c. */
#ifndef SBX_SENTRY_SIGNALFD_H
#define SBX_SENTRY_SIGNALFD_H

/* A signal was queued, for the process or one thread: wakes who waits for it on a descriptor.
 * Called with the signal locks held; takes none of them. */
void signalfd_notify(int sig);

#endif
