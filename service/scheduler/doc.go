// Package scheduler is the default service.Scheduler: it runs the recurring work of a plugin, once among all replicas or on each.
//
// Local tasks run in every process. Of a global task, each run is on one replica: which one, they settle in the plugin's database, which
// is opened when the first global task is scheduled. A plugin without global tasks needs no database.
//
// # Global tasks
//
// A replica that runs a task holds a lease on it, which it renews while the run goes on. When the replica dies, the lease ends and another
// replica runs the task again. A replica that can't reach the database ends its runs before their leases end, so that no task runs twice
// at once. All times are those of the database's clock: the clocks of the replicas don't matter. The one exception are the time zones of
// cron lines, which are those of the processes.
//
// The replicas follow the schedule of the one that started last; so does an older one while both are running. A replica waits until a task
// is due. It looks for tasks that others have triggered, and for runs that they have cancelled, every sixth of the lease.
//
// A run that shutdown has interrupted with an error is due again at once, for another replica.
//
// # Configuration
//
//	backend:
//	  scheduler:
//	    lease: 30s                   # after this time, the task of a replica that was killed is taken over
//	    tasks:                       # instead of what the code says, by plugin and task
//	      catalog:
//	        cmdb-refresh:
//	          frequency: { cron: '0 3 * * *' }
//	          timeout: { minutes: 10 }
//	          initialDelay: 15s
//	          scope: local
//
// # Routes
//
// Users and services can list, trigger and cancel the tasks of a plugin, at the routes of Backstage:
//
//	GET  /api/<plugin>/.backstage/scheduler/v1/tasks
//	POST /api/<plugin>/.backstage/scheduler/v1/tasks/<task>/trigger
//	POST /api/<plugin>/.backstage/scheduler/v1/tasks/<task>/cancel
package scheduler
