/* soquete.h - the whole of soquete. */
#ifndef SOQUETE_SOQUETE_H
#define SOQUETE_SOQUETE_H

#include <soquete/base.h>
#include <soquete/error.h>
#include <soquete/time.h>
#include <soquete/endpoint.h>
#include <soquete/names.h>
#include <soquete/stream.h>
#include <soquete/listener.h>
#include <soquete/dgram.h>
#include <soquete/local.h>
#include <soquete/tls.h>
#include <soquete/fiber.h>
#include <soquete/sync.h>
#include <soquete/server.h>
#include <soquete/service.h>
#include <soquete/runtime.h>

#endif
