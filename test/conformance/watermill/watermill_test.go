// Package conformance runs watermill's universal Pub/Sub suite, through watermill's own Google Cloud client, against the
// emulator that PUBSUB_EMULATOR_HOST names.
package conformance

import (
	"os"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-googlecloud/v2/pkg/googlecloud"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
)

const project = "watermill"

// wiring is how messages travel, and what subscriptions are made like.
type wiring struct {
	ordered bool
	codec   interface {
		googlecloud.Marshaler
		googlecloud.Unmarshaler
	}
}

// keyed gives every message the same ordering key, so that a topic has one order.
type keyed struct {
	googlecloud.Marshaler
	googlecloud.Unmarshaler
}

func unordered() wiring {
	return wiring{codec: googlecloud.DefaultMarshalerUnmarshaler{}}
}

func ordered() wiring {
	key := func(string, *message.Message) (string, error) { return "everything", nil }
	check := func(string, *message.Message) error { return nil }
	return wiring{
		ordered: true,
		codec:   keyed{googlecloud.NewOrderingMarshaler(key), googlecloud.NewOrderingUnmarshaler(check)},
	}
}

// open makes a publisher and a subscriber; group tells apart subscriptions to one topic.
func (w wiring) open(t *testing.T, group string) (message.Publisher, message.Subscriber) {
	t.Helper()
	// The client publishes the messages of a call one after another, and holds each for up to DelayThreshold: the 1,000 of
	// the order test would outlast the timeout.
	settings := pubsub.DefaultPublishSettings
	settings.DelayThreshold = time.Millisecond
	publisher, err := googlecloud.NewPublisher(googlecloud.PublisherConfig{
		ProjectID:             project,
		EnableMessageOrdering: w.ordered,
		Marshaler:             w.codec,
		PublishSettings:       &settings,
		PublishTimeout:        time.Minute,
	}, watermill.NopLogger{})
	if err != nil {
		t.Fatalf("publisher: %v", err)
	}
	subscriber, err := googlecloud.NewSubscriber(googlecloud.SubscriberConfig{
		ProjectID:                project,
		GenerateSubscriptionName: googlecloud.TopicSubscriptionNameWithSuffix(group),
		GenerateSubscription: func(googlecloud.GenerateSubscriptionParams) *pubsubpb.Subscription {
			return &pubsubpb.Subscription{EnableMessageOrdering: w.ordered}
		},
		Unmarshaler: w.codec,
	}, watermill.NopLogger{})
	if err != nil {
		t.Fatalf("subscriber: %v", err)
	}
	return publisher, subscriber
}

func (w wiring) run(t *testing.T, features tests.Features) {
	t.Helper()
	if os.Getenv("PUBSUB_EMULATOR_HOST") == "" {
		t.Fatal("PUBSUB_EMULATOR_HOST names no emulator")
	}
	// A command, split at blanks, that lets the emulator start anew on the same address.
	features.RestartServiceCommand = strings.Fields(os.Getenv("RESTART_COMMAND"))
	tests.TestPubSub(t, features,
		func(t *testing.T) (message.Publisher, message.Subscriber) { return w.open(t, "") },
		w.open,
	)
}

func TestUnordered(t *testing.T) {
	unordered().run(t, tests.Features{ConsumerGroups: true, Persistent: true})
}

func TestOrdered(t *testing.T) {
	ordered().run(t, tests.Features{
		ConsumerGroups:  true,
		Persistent:      true,
		GuaranteedOrder: true,
		// The suite merges the channels of several subscribers, which would not keep an order.
		GuaranteedOrderWithSingleSubscriber: true,
	})
}
