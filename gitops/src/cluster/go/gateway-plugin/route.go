package main

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

var httpRoutes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}

type settings struct {
	HTTPRoute string `json:"httpRoute"`
	Namespace string `json:"namespace"`
}

func (r *router) setWeight(ctx context.Context, rollout *v1alpha1.Rollout, weight int64) error {
	canary := rollout.Spec.Strategy.Canary
	var of settings
	if err := json.Unmarshal(canary.TrafficRouting.Plugins[name], &of); err != nil {
		return err
	}
	if of.Namespace == "" {
		of.Namespace = rollout.Namespace
	}
	routes := r.client.Resource(httpRoutes).Namespace(of.Namespace)
	weights := map[string]int64{canary.StableService: 100 - weight, canary.CanaryService: weight}
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		route, err := routes.Get(ctx, of.HTTPRoute, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := splitTraffic(route, weights); err != nil {
			return err
		}
		_, err = routes.Update(ctx, route, metav1.UpdateOptions{FieldManager: name})
		return err
	})
}

// splitTraffic sets the weights of every rule that has both services, and fails when none has.
func splitTraffic(route *unstructured.Unstructured, weights map[string]int64) error {
	rules, _, err := unstructured.NestedSlice(route.Object, "spec", "rules")
	if err != nil {
		return err
	}
	changed := false
	for _, rule := range rules {
		backends, _ := rule.(map[string]any)["backendRefs"].([]any)
		found := []map[string]any{}
		for _, backend := range backends {
			reference, _ := backend.(map[string]any)
			service, _ := reference["name"].(string)
			if _, ok := weights[service]; ok {
				found = append(found, reference)
			}
		}
		if len(found) != len(weights) {
			continue
		}
		for _, reference := range found {
			reference["weight"] = weights[reference["name"].(string)]
		}
		changed = true
	}
	if !changed {
		return fmt.Errorf("HTTPRoute %s has no rule with the stable and the canary service", route.GetName())
	}
	return unstructured.SetNestedSlice(route.Object, rules, "spec", "rules")
}
