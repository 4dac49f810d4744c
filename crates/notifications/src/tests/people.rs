//! Export and deletion by user.

use super::*;

on_both! { nothing_of_a_deleted_user_is_left }

async fn nothing_of_a_deleted_user_is_left(world: World) {
    let notifications = world.replica().await;
    for n in 0..3 {
        let ways = vec![v1::Way::Push.into(), v1::Way::Email.into()];
        notify(&notifications, v1::NotifyRequest { ways, dedupe_key: n.to_string(), ..note("7", "mine") })
            .await;
    }
    notify(&notifications, note("8", "other")).await;
    notifications
        .store
        .add_device("7", platepal_push::Device::Fcm { token: "t".into() }, "phone", Clock.now())
        .await
        .unwrap();
    let export = notifications.export_inbox(v1::ExportInboxRequest { user_id: "7".into() }).await.unwrap();
    assert_eq!((export.notifications.len(), export.devices.len()), (3, 1));
    let delete = || v1::DeleteInboxRequest { user_id: "7".into() };
    assert_eq!(notifications.delete_inbox(delete()).await.unwrap().notifications, 3);
    assert_eq!(notifications.delete_inbox(delete()).await.unwrap().notifications, 0);
    let export = notifications.export_inbox(v1::ExportInboxRequest { user_id: "7".into() }).await.unwrap();
    assert_eq!((export.notifications.len(), export.devices.len()), (0, 0));
    assert_eq!(fire(&notifications, soon(60)).await, 1, "the other's alone");
    assert_eq!(inbox(&notifications, "8").await.1, 1);
    let rows =
        notifications.store.database.rows("SELECT COUNT(*) AS n FROM notifications_feed", &[]).await.unwrap();
    assert_eq!(rows[0].int("n").unwrap(), 0);
}
